"""A federated run as the coordinator keeps it: which job it is, and in the end what came home.

The folder is that of a run (see `fedcross.training.run.folder`) with one more file, ``federation.json``.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.kits.provision import SITE_PATTERN
from fedcross.federate.supervise.coordinator import (
    OUTCOME,
    RESULT,
    RUNNING,
    STATUS,
    Coordinator,
    FederationError,
    GoneError,
    Outcome,
)
from fedcross.federate.supervise.job import Patience, Supervisor
from fedcross.runtime.files.atomic import (
    atomic_folder,
    make_folder,
    scratch_folder,
    write_atomically,
)
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.run.folder import TEST

RECORD = "federation.json"
TAKE_UP = "fedcross federation submit takes it up."


@dataclass(frozen=True)
class Record:
    """What is kept of a run in hand.

    Attributes
    ----------
    run
        Its identity at the server.
    configuration_sha256
        Of its configuration.
    job
        The last job handed in; empty before the first.
    aborted
        Whether a person ended it.
    """

    run: str
    configuration_sha256: str
    job: str = ""
    aborted: bool = False


class SupervisedRun:
    """A run in hand.

    Parameters
    ----------
    path
        The coordinator's folder of the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> Record:
        """What was kept.

        Raises
        ------
        CheckpointError
            If nothing was, or it is damaged.
        """
        try:
            return Record(**json.loads((self.path / RECORD).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self.path} holds no federated run.", "Begin one with fedcross federation submit."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{RECORD} of {self.path.name} is damaged.") from error

    def keep(self, **changes: Any) -> None:
        """Change what is kept."""
        self._write(replace(self.record, **changes))

    def begin(self, config: TrainingConfig) -> Record:
        """The record of a run with this configuration, made if there is none.

        Raises
        ------
        ConfigError
            If the folder holds another run, or a site's name cannot be that of a kit.
        CheckpointError
            If the folder cannot be written.
        """
        for site in config.sites:
            if not SITE_PATTERN.fullmatch(site.name):
                raise ConfigError(
                    f"The site {site.name!r} cannot have a kit of that name; rename it."
                )
        sha256 = config_sha256(config)
        if not (self.path / RECORD).is_file():
            if self.path.exists() and any(self.path.iterdir()):
                raise ConfigError(f"{self.path} is not empty.", "Choose another folder.")
            make_folder(self.path, error_class=CheckpointError)
            self._write(Record(f"{sha256[:12]}-{secrets.token_hex(4)}", sha256))
        elif self.record.configuration_sha256 != sha256:
            raise ConfigError(f"{self.path} holds a run of another configuration.")
        self.keep(aborted=False)
        return self.record

    def _write(self, record: Record) -> None:
        data = json.dumps(asdict(record), indent=2).encode("utf-8")
        write_atomically(self.path / RECORD, data, durable=True, error_class=CheckpointError)

    @property
    def job(self) -> str:
        """The last job handed in.

        Raises
        ------
        FederationError
            If there is none yet.
        """
        if not (job := self.record.job):
            raise FederationError("No job of this run was handed in yet.", TAKE_UP)
        return job

    @property
    def finished(self) -> bool:
        """Whether the run came home and has its last figures."""
        return (self.path / TEST).is_file()

    def bring_home(self, coordinator: Coordinator) -> Outcome:
        """Fetch what the last job left at the server; of a finished run the members, too.

        Raises
        ------
        FederationError
            If the job left nothing that can be used; what is here is unharmed.
        """
        job = self.job
        with scratch_folder(self.path) as scratch:
            fetched = coordinator.download(job, scratch)
            found = next(fetched.rglob(f"{RESULT}/{OUTCOME}"), None)
            if found is None:
                raise FederationError(f"Job {job} left no result; was it aborted?", TAKE_UP)
            try:
                outcome = Outcome(**json.loads(found.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError) as error:
                raise FederationError(f"The result of job {job} is damaged.") from error
            if outcome.state == "finished":
                with atomic_folder(self.path, error_class=CheckpointError) as made:
                    shutil.copytree(found.parent, made, dirs_exist_ok=True)
                    (made / OUTCOME).unlink()
                    shutil.copy(self.path / RECORD, made / RECORD)
        return outcome

    def supervise(
        self,
        coordinator: Coordinator,
        job: Path,
        sites: Collection[str],
        tell: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        """Follow the run to its end and bring it home; see `Supervisor`."""
        Supervisor(
            coordinator,
            job,
            sites=sites,
            outcome=lambda job: self.bring_home(coordinator),
            wanted=lambda: not self.record.aborted,
            tell=tell,
            note=lambda job: self.keep(job=job),
            patience=patience,
        ).run(self.record.job or None)

    def progress(self, coordinator: Coordinator) -> tuple[str, str, Mapping[str, bool]]:
        """FLARE's word for the last job, what the job says, and which sites take part in it."""
        job = self.job
        status = coordinator.status(job)
        if status != RUNNING:
            return status, "", {}
        try:
            told = str(coordinator.ask(job, STATUS)["message"])
        except GoneError:
            told = "It is being started, or died with the server."
            if self.record.aborted:
                told = "It is being ended."
        return status, told, coordinator.sites(job)

    def abort(self, coordinator: Coordinator) -> None:
        """End the run; whoever supervises it does not hand it in again."""
        self.keep(aborted=True)
        if self.record.job:
            coordinator.abort(self.record.job)
