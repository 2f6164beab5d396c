"""What finished runs leave in a kit is deleted after a while, and nothing else."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fedcross.commands.federation import app
from fedcross.errors import OutputError
from fedcross.federate.flare import clean
from fedcross.federate.flare.clean import Leftover, delete, find_leftovers, is_due
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.runtime.files.lock import folder_lock

NOW = datetime.now(UTC)
OLD, OLDER, ACTIVE, BROKEN = (f"{digit}0000000-0000-4000-8000-000000000000" for digit in "1234")


@pytest.fixture
def kits(tmp_path: Path) -> Path:
    init_federation(tmp_path / "kits", Federation("tiny", ("s0",), "localhost", 1))
    return tmp_path / "kits"


def write(path: Path, text: str = "x" * 1000, days: int = 40) -> None:
    """Write a file; it and its folders were changed some days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    age(path, days)


def age(path: Path, days: int) -> None:
    changed = (NOW - timedelta(days=days)).timestamp()
    for each in (path, *path.parents[:4]):
        os.utime(each, (changed, changed))


def write_job(kit: Path, job: str, run: str, status: str, days: int = 40) -> None:
    write(kit / "storage" / "jobs" / job / "data", days=days)
    record = json.dumps({"name": run, "status": status})
    write(kit / "storage" / "jobs" / job / "meta", record, days=days)


def write_run(kit: Path, run: str, *, finished: bool = True, days: int = 40) -> None:
    write(kit / "runs" / run / "checkpoints" / "round_0001" / "member_0.safetensors", days=days)
    write(kit / "runs" / run / ("test.json" if finished else "config.json"), "{}", days=days)


def call(*words: object) -> str:
    result = CliRunner().invoke(app, ["clean", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def names(kit: Path, *folders: str) -> set[str]:
    return {path.name for folder in folders for path in (kit / folder).iterdir()}


def test_the_server_keeps_what_runs_what_is_new_and_what_can_be_continued(kits: Path) -> None:
    server = kits / "server"
    write_run(server, "old")
    write_run(server, "new", days=29)
    write_run(server, "stopped", finished=False)
    write_run(server, "continued")  # finished once; a job gives it more rounds
    write_run(server, "locked")
    write_job(server, OLD, "old", "FINISHED:COMPLETED")
    write_job(server, OLDER, "new", "FINISHED:ABORTED", days=29)
    write_job(server, ACTIVE, "continued", "RUNNING")
    write(server / ACTIVE / "log.txt")
    write(server / BROKEN / "log.txt")  # left by a server that was killed
    settings = set((server / "startup").rglob("*"))
    with folder_lock(server / "runs" / "locked" / "run.lock"):
        age(server / "runs" / "locked" / "run.lock", 40)
        shown = call(server, "--dry-run")
        assert "Would delete run old: 0.0 MB" in shown
        assert names(server, "runs") == {"old", "new", "stopped", "continued", "locked"}
        shown = call(server)
    assert [line.split(":")[0] for line in shown.splitlines() if line.startswith("Deleted")] == [
        "Deleted run old",
        f"Deleted job {OLD}",
        f"Deleted job folder {BROKEN}",
    ]
    assert "Kept run stopped: 0.0 MB" in shown
    assert names(server, "runs") == {"new", "stopped", "continued", "locked"}
    assert names(server, "storage/jobs") == {OLDER, ACTIVE}
    assert (server / ACTIVE).is_dir()
    assert set((server / "startup").rglob("*")) == settings
    assert "Deleted run stopped" in call(server, "--unfinished")
    assert names(server, "runs") == {"new", "continued"}  # nothing locks the other one


def test_a_hospital_keeps_its_own_files_and_the_job_that_runs(
    kits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = kits / "sites" / "s0"
    for job in (OLD, ACTIVE):
        write(site / job / "log.txt")
    for name in ("visits.log", "approvals.json", "log.txt"):
        write(site / name)
    write(site / "other" / "file")

    worker = SimpleNamespace(info={"cmdline": ["python", "-m", "worker_process", "-n", ACTIVE]})
    monkeypatch.setattr(clean, "processes_of", lambda kit, modules: [worker])
    shown = call(site)
    assert f"Deleted job folder {OLD}" in shown
    assert f"Kept job folder {ACTIVE}" in shown
    kept = {ACTIVE, "visits.log", "approvals.json", "log.txt", "other", "local", "startup"}
    assert {path.name for path in site.iterdir()} >= kept
    assert not (site / OLD).exists()


def test_a_link_is_neither_followed_nor_deleted(kits: Path, tmp_path: Path) -> None:
    server = kits / "server"
    write(tmp_path / "elsewhere" / "test.json")
    (server / "runs").mkdir()
    (server / "runs" / "linked").symlink_to(tmp_path / "elsewhere")
    assert find_leftovers(open_kit(server)) == []


def test_a_run_that_begins_again_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    write(tmp_path / "run" / "test.json")
    leftover = Leftover(tmp_path / "run", "run", NOW, 1000)
    with folder_lock(tmp_path / "run" / "run.lock"):
        assert not delete(leftover)
    assert delete(leftover)
    assert not (tmp_path / "run").exists()
    assert not delete(leftover)  # nothing is left to do


@pytest.mark.parametrize(
    ("state", "days", "unfinished", "due"),
    [
        ("", 30, False, True),
        ("", 29, False, False),
        ("running", 400, True, False),
        ("not finished", 400, False, False),
        ("not finished", 30, True, True),
    ],
)
def test_what_is_deleted_depends_on_state_and_age(
    state: str, days: int, unfinished: bool, due: bool
) -> None:
    leftover = Leftover(Path("run"), "run", NOW - timedelta(days=days), 1, state)
    assert is_due(leftover, timedelta(days=30), NOW, unfinished=unfinished) is due


@pytest.mark.parametrize("text", ["0d", "30", "1h", "-1d", "x" * 100])
def test_an_age_that_is_no_number_of_days_is_refused(kits: Path, text: str) -> None:
    result = CliRunner().invoke(app, ["clean", str(kits / "server"), f"--older-than={text}"])
    assert "must be a number of days from 1 on" in str(result.exception)


def test_a_kit_that_cannot_be_read_is_named(kits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clean, "_folders", deny)
    kit: Kit = open_kit(kits / "server")
    with pytest.raises(OutputError, match="The kit server cannot be read: Permission denied"):
        find_leftovers(kit)
