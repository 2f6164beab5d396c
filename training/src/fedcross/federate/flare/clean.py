"""What finished runs leave in the kits of the server and of a hospital, and its deletion.

::

    server/runs/<run>             run folder with the members of its rounds
    server/storage/jobs/<job>     FLARE's copy of a job and of its result
    server/storage/snapshots/<job>
    server/transfer/<download>    a download that was interrupted
    <kit>/<job>                   logs and configuration of a job, at the server only after a failure

A job is not finished while its process runs, or while FLARE's record says so. A run is finished if it
has its test figures and no job of it is unfinished. Everything else in a kit stays: settings, keys,
``visits.log``, ``approvals.json``, the logs of the kit, and the cache of preprocessed cases.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text
from fedcross.errors import CheckpointError, OutputError
from fedcross.federate.flare.job import RUNS
from fedcross.federate.flare.processes import JOB_MODULES, processes_of
from fedcross.federate.kits.hardening import STORAGE
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.files.lock import folder_lock, is_locked
from fedcross.training.run.folder import LOCK, TEST

JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
FINISHED = "FINISHED"  # FLARE's words for the state of an ended job begin so
META = "meta"
JOBS, SNAPSHOTS, TRANSFER = f"{STORAGE}/jobs", f"{STORAGE}/snapshots", "transfer"


@dataclass(frozen=True)
class Leftover:
    """A folder that runs or jobs left in a kit.

    Attributes
    ----------
    path
        The folder.
    kind
        ``run``, ``job``, ``snapshot``, ``transfer`` or ``job folder``.
    changed
        Time of the last change of anything in it, in UTC.
    bytes
        Size of all files in it, in bytes.
    state
        Empty if it is finished; ``running``, or ``not finished`` for a run that can be continued.
    """

    path: Path
    kind: str
    changed: datetime
    bytes: int
    state: str = ""

    def line(self) -> str:
        """One line about it."""
        state = f", {self.state}" if self.state else ""
        name = plain_text(self.path.name, 80)
        size = f"{self.bytes / 1e6:.1f} MB"
        return f"{self.kind} {name}: {size}, last changed {self.changed:%Y-%m-%d}{state}"


def find_leftovers(kit: Kit) -> list[Leftover]:
    """Find what runs and jobs left in a kit; links are not followed.

    Parameters
    ----------
    kit
        Kit of the server or of a hospital.

    Raises
    ------
    OutputError
        If a folder cannot be read.
    """
    try:
        running = _running_jobs(kit)
        if kit.kind == "site":
            return list(_find_job_folders(kit.path, running))
        records = dict(_read_records(kit.path / JOBS))
        unfinished = {job for job, record in records.items() if not _is_finished(record)} | running
        busy = {str(records[job].get("name")) for job in unfinished if job in records}
        return [
            *_find_runs(kit.path / RUNS, busy),
            *_find(kit.path / JOBS, "job", unfinished),
            *_find(kit.path / SNAPSHOTS, "snapshot", unfinished),
            *_find(kit.path / TRANSFER, "transfer", set()),
            *_find_job_folders(kit.path, unfinished),
        ]
    except OSError as error:
        raise OutputError(f"The kit {kit.path.name} cannot be read: {error.strerror}.") from error


def is_due(leftover: Leftover, older_than: timedelta, now: datetime, *, unfinished: bool) -> bool:
    """Whether a leftover is to be deleted.

    Parameters
    ----------
    leftover
        The leftover.
    older_than
        Time without a change after which it is deleted.
    now
        The current time, with a time zone.
    unfinished
        Whether runs that are not finished are deleted, too. What is running never is.
    """
    if leftover.state and not (unfinished and leftover.state == "not finished"):
        return False
    return now - leftover.changed >= older_than


def delete(leftover: Leftover) -> bool:
    """Delete a leftover; return False if a process has begun to use it, or has deleted it.

    Raises
    ------
    OutputError
        If it cannot be deleted.
    """
    try:
        if leftover.kind != "run":
            shutil.rmtree(leftover.path)
            return True
        with folder_lock(leftover.path / LOCK):
            shutil.rmtree(leftover.path)
        return True
    except FileNotFoundError:
        return False  # FLARE, or another call of this command, was faster
    except CheckpointError as error:
        if leftover.path.exists() and not is_locked(leftover.path / LOCK):
            raise OutputError(error.message) from error
        return False
    except OSError as error:
        raise OutputError(
            f"The {leftover.kind} {leftover.path.name} cannot be deleted: {error.strerror}."
        ) from error


def _running_jobs(kit: Kit) -> set[str]:
    """The jobs whose processes run: their identifiers are in the processes' command lines."""
    words = (word for process in processes_of(kit, JOB_MODULES) for word in process.info["cmdline"])
    return {word for word in words if JOB_ID.fullmatch(word)}


def _read_records(jobs: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """FLARE's record of every job at the server; empty for one that cannot be read."""
    for path in _folders(jobs):
        try:
            record = parse_json((path / META).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = None
        yield path.name, record if isinstance(record, dict) else {}


def _is_finished(record: Mapping[str, object]) -> bool:
    """Whether FLARE's record says that a job ended; also if the rest of a job has no record."""
    return not record or str(record.get("status")).startswith(FINISHED)


def _find_runs(runs: Path, busy: set[str]) -> Iterator[Leftover]:
    for path in _folders(runs):
        is_running = path.name in busy or is_locked(path / LOCK)
        state = "running" if is_running else "" if (path / TEST).is_file() else "not finished"
        yield _measure(path, "run", state)


def _find_job_folders(kit: Path, running: set[str]) -> Iterator[Leftover]:
    for leftover in _find(kit, "job folder", running):
        if JOB_ID.fullmatch(leftover.path.name):
            yield leftover


def _find(folder: Path, kind: str, running: set[str]) -> Iterator[Leftover]:
    for path in _folders(folder):
        yield _measure(path, kind, "running" if path.name in running else "")


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _measure(path: Path, kind: str, state: str) -> Leftover:
    """Read the size and the last change of a folder; files that vanish meanwhile do not count."""
    newest, size = path.stat().st_mtime, 0
    for each in path.rglob("*"):
        try:
            found = each.lstat()
        except FileNotFoundError:
            continue
        newest = max(newest, found.st_mtime)
        size += 0 if each.is_dir() else found.st_size
    return Leftover(path, kind, datetime.fromtimestamp(newest, UTC), size, state)
