"""The run folder on the coordinator's machine: the record of its jobs, at the end the trained members.

It is a run folder (see `fedcross.training.run.folder`) with one more file, ``federation.json``.
"""

import json
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.kits.provision import SITE_PATTERN
from fedcross.federate.supervise.followed_files import FollowedFiles
from fedcross.federate.supervise.outcome import CONTINUE_HINT, download_outcome
from fedcross.federate.supervise.run_record import RECORD, Record
from fedcross.federate.supervise.server_connection import (
    OUTCOME,
    FederationError,
    Outcome,
    ServerConnection,
)
from fedcross.federate.supervise.supervisor import Supervisor
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.runtime.files.atomic import atomic_folder, scratch_folder, write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.run.continuation import continue_configuration
from fedcross.training.run.folder import TEST, RunFolder
from fedcross.training.run.start import check_start
from fedcross.training.run.tensorboard_writer import FOLDER as TENSORBOARD


class FederatedRun:
    """A federated run on the coordinator's machine.

    Parameters
    ----------
    path
        Run folder; `begin` makes it if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> Record:
        """The record in the folder.

        Raises
        ------
        CheckpointError
            If there is none, or it is damaged.
        """
        try:
            return Record(**parse_json((self.path / RECORD).read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self.path} holds no federated run.", "fedcross federation submit begins one."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{RECORD} of {self.path.name} is damaged.") from error

    def update_record(self, **changes: Any) -> None:
        """Replace fields of the record."""
        self._write(replace(self.record, **changes))

    def begin(self, config: TrainingConfig) -> Record:
        """Begin a run, or continue the one in the folder; return its record.

        A finished run goes on if the configuration has more rounds or sites than before, see
        `fedcross.training.run.continuation`.

        Raises
        ------
        ConfigError
            If the folder holds other files or a run with another configuration, if no kit can have the
            name of a site, or if the run cannot begin from the bundle of ``[start]``.
        CheckpointError
            If a finished run cannot go on with this configuration.
        """
        for site in config.sites:
            if not SITE_PATTERN.fullmatch(site.name):
                raise ConfigError(
                    f"No startup kit can have the name of the site {site.name!r}; rename the site."
                )
        if config.start.bundle is not None and config.start.sha256 is None:
            raise ConfigError(f"There is no bundle at {config.start.bundle}, which start names.")
        sha256 = config_sha256(config)
        if not (self.path / RECORD).is_file():
            check_start(config)
            if self.path.exists() and any(self.path.iterdir()):
                raise ConfigError(f"{self.path} is not empty.", "Choose another folder.")
            make_folder(self.path, error_class=CheckpointError)
            self._write(Record(f"{sha256[:12]}-{secrets.token_hex(4)}", sha256))
        elif self.record.configuration_sha256 != sha256:
            self._continue(config, sha256)
        self.update_record(aborted=False)
        return self.record

    def _continue(self, config: TrainingConfig, sha256: str) -> None:
        """Let a finished run go on with more rounds or sites; a new job begins it."""
        run = RunFolder(self.path)
        if not self.finished:
            raise ConfigError(
                f"{self.path} holds a run with another configuration.",
                "Only a finished run can get more rounds or sites; choose another folder for a new run.",
            )
        continue_configuration(run, config)
        self.update_record(configuration_sha256=sha256, job="")

    def _write(self, record: Record) -> None:
        data = json.dumps(asdict(record), indent=2).encode("utf-8")
        write_atomically(self.path / RECORD, data, durable=True, error_class=CheckpointError)

    @property
    def job(self) -> str:
        """Identifier of the last submitted job.

        Raises
        ------
        FederationError
            If no job was submitted.
        """
        if not (job := self.record.job):
            raise FederationError("No job of this run was submitted yet.", CONTINUE_HINT)
        return job

    @property
    def finished(self) -> bool:
        """Whether the result of the finished run, with its test figures, is in the folder."""
        return (self.path / TEST).is_file()

    @property
    def _is_complete(self) -> bool:
        """Whether the folder has the result of the configuration that was submitted last.

        Then the server is not asked: it may have deleted the run, and would train it once more.
        """
        if not self.finished:
            return False
        found = config_sha256(RunFolder(self.path).configuration())
        return found == self.record.configuration_sha256

    def download(self, connection: ServerConnection, files: FollowedFiles | None = None) -> Outcome:
        """Download the result of the last job; a finished run replaces the content of the folder.

        Parameters
        ----------
        connection
            Connection to the server.
        files
            The copies of the growing files in the folder, which are completed first; None leaves them.

        Raises
        ------
        FederationError
            If the job has no result, or the result is damaged; the folder is not changed.
        """
        job = self.job
        with scratch_folder(self.path) as scratch:
            outcome, result = download_outcome(connection, job, scratch)
            if files is not None:
                files.complete(result)
            if outcome.state == "finished":
                with atomic_folder(self.path, error_class=CheckpointError) as made:
                    shutil.copytree(result, made, dirs_exist_ok=True)
                    (made / OUTCOME).unlink()
                    shutil.copy(self.path / RECORD, made / RECORD)
                    if (self.path / TENSORBOARD).is_dir():
                        shutil.copytree(self.path / TENSORBOARD, made / TENSORBOARD)
        return outcome

    def supervise(
        self,
        connection: ServerConnection,
        job_folder: Path,
        config: TrainingConfig,
        log: Callable[[str], None],
        timeouts: Timeouts | None = None,
        *,
        min_sites: int | None = None,
        add_metrics: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Follow the run to its end and download the result; see `Supervisor`.

        Meanwhile status, metrics and log of the run are copied into the folder as they grow. Nothing is
        done if the folder has the result already.

        Parameters
        ----------
        connection
            Connection to the server.
        job_folder
            The job, see `flare.job.build_job`.
        config
            Configuration of the run.
        log
            Receives every line of the run's log, and a sentence for every event.
        timeouts
            Waiting times; None for the usual ones.
        min_sites
            Number of sites that must be connected before a job is submitted; None for that of the
            configuration.
        add_metrics
            Receives every new line of the metrics; may be None.
        """
        if self._is_complete:
            log("The run is finished; its result is in the folder.")
            return
        files = FollowedFiles(self.path, log, add_metrics)
        Supervisor(
            connection=connection,
            job_folder=job_folder,
            sites=[site.name for site in config.sites],
            fetch_outcome=lambda job: self.download(connection, files),
            is_wanted=lambda: not self.record.aborted,
            log=log,
            save_job_id=lambda job: self.update_record(job=job),
            files=files,
            min_sites=config.count_needed_sites(min_sites),
            timeouts=timeouts or Timeouts(),
        ).run(self.record.job or None)

    def abort(self, connection: ServerConnection) -> None:
        """End the last job; a supervisor of this run submits no other."""
        self.update_record(aborted=True)
        if self.record.job:
            connection.abort_job(self.record.job)
