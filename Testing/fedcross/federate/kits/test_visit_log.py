"""A hospital's own log of visits, and the command that shows it."""

import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.commands.site import app
from fedcross.errors import OutputError
from fedcross.federate.flare.processes import KIT_LOCK
from fedcross.federate.kits import visit_log
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.site_status import describe_site
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.federate.kits.visit_log import (
    DONE,
    FAILED,
    OLDER_VISITS,
    REFUSED,
    VISITS,
    Entry,
    append_entry,
    read_entries,
)
from fedcross.runtime.files.lock import folder_lock

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def visit(number: int, loss: float, run: str = "1b31-a") -> Entry:
    return Entry(
        NOON + timedelta(minutes=number),
        run,
        "train",
        DONE,
        round=number,
        cases=12,
        seconds=42.1,
        bytes_out=2_000_000,
        left=("member", "loss"),
        loss=loss,
    )


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, Federation("tiny", ("s0",), "localhost", 1))
    return open_kit(folder / "sites" / "s0")


def test_an_entry_is_one_readable_line_and_is_read_back(tmp_path: Path) -> None:
    entries = [
        visit(2, 0.43125),
        Entry(
            NOON, "plan-1", "figures", DONE, cases=3, seconds=1.0, bytes_out=80, left=("figures",)
        ),
        Entry(NOON, "1b31-a", "validate", FAILED, "DataError", seconds=0.5),
        Entry(NOON, "1b31-b", "join", REFUSED, "another-configuration-than-agreed"),
        Entry(NOON, "1b31-b", "validate", DONE, cases=1, dice=0.5),
    ]
    for entry in entries:
        append_entry(tmp_path, entry)
    path = tmp_path / VISITS
    assert path.read_text(encoding="utf-8").splitlines()[0] == (
        "2026-11-29 12:02:00 UTC run=1b31-a task=train round=2 cases=12 seconds=42.1 "
        "bytes_out=2000000 left=member,loss loss=0.4313 outcome=done"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, *others = read_entries(tmp_path)
    assert first.loss == 0.4313
    assert others == entries[1:]


def test_a_hostile_identifier_stays_one_word_of_one_line(tmp_path: Path) -> None:
    run = "a\nb outcome=done \x1b[2J /home/jane " + "x" * 1000
    append_entry(tmp_path, Entry(NOON, run, "join", REFUSED, "ConfigError"))
    (line,) = (tmp_path / VISITS).read_text(encoding="ascii").splitlines()
    assert len(line) < 200
    assert "\x1b" not in line
    (entry,) = read_entries(tmp_path)
    assert entry.run.startswith("a?b?outcome?done???2J??home?jane?xxx")
    assert entry.outcome == REFUSED


def test_the_log_is_bounded_and_keeps_the_newest_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit_log, "MAX_BYTES", 1000)
    for number in range(1, 100):
        append_entry(tmp_path, visit(number, 1.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == [VISITS, OLDER_VISITS]
    assert all(path.stat().st_size < 1200 for path in tmp_path.iterdir())
    rounds = [entry.round for entry in read_entries(tmp_path)]
    assert rounds == list(range(100 - len(rounds), 100))
    assert len(rounds) > 5


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    append_entry(tmp_path, visit(1, 1.0))
    with (tmp_path / VISITS).open("ab") as file:
        file.write(b"\xff\xfe\n2026-99-99 12:00:00 UTC run=a task=b outcome=c\n")
        file.write(b"2026-11-29 12:00:00 UTC run=a task=b\n")
        file.write(b"2026-11-29 12:00:00 UTC run=a task=b outcome=done round=x\n\n")
    assert [entry.round for entry in read_entries(tmp_path)] == [1]


def test_a_log_that_cannot_be_written_or_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"visits\.log cannot be written"):
        append_entry(tmp_path / "missing", visit(1, 1.0))
    (tmp_path / VISITS).mkdir()
    with pytest.raises(OutputError, match=r"visits\.log cannot be read"):
        list(read_entries(tmp_path))


def test_status_without_a_run_says_so(kit: Kit) -> None:
    lines = list(describe_site(kit, datetime.now(UTC), 20))
    assert lines[0] == "s0 in the federation tiny, server localhost:1"
    assert lines[1] == "It does not run on this machine."
    assert "valid until" in lines[2]
    assert lines[3].startswith(
        "Figures that it shares: loss, validation, cases, data, calibration, profile."
    )
    assert lines[-1] == "No run has asked this hospital yet."
    with folder_lock(kit.path / KIT_LOCK):
        assert "It runs on this machine." in describe_site(kit, datetime.now(UTC), 20)


def test_status_shows_runs_losses_bytes_and_refusals(kit: Kit) -> None:
    for number, loss in ((1, 1.5), (2, 0.75), (3, 0.5)):
        append_entry(kit.path, visit(number, loss))
    append_entry(kit.path, Entry(NOON, "1b31-a", "validate", FAILED, "DataError", seconds=0.5))
    append_entry(
        kit.path, Entry(NOON, "77-b", "join", REFUSED, "another-configuration-than-agreed")
    )
    done = CliRunner().invoke(app, ["status", str(kit.path), "--visits", "3"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert (
        "  1b31-a: 2026-11-29 12:01 to 2026-11-29 12:00 UTC, 3 visits, 6.0 MB sent, "
        "loss 1.5 at first, 0.5 at last, tasks not done: 1."
    ) in lines
    assert any(
        line.startswith("  77-b:") and "refusals: 1, another configuration than agreed." in line
        for line in lines
    )
    *_, third, failed, refused = lines
    assert third.split() == [
        *(
            "2026-11-29",
            "12:03:00",
            "UTC",
            "train",
            "3",
            "12",
            "42.1",
            "2.00",
            "0.5",
            "member,",
            "loss",
        )
    ]
    assert failed.endswith("nothing (failed: DataError)")
    assert refused.endswith("nothing (refused: another-configuration-than-agreed)")


def test_status_of_many_runs_shows_the_last_ten(tmp_path: Path, kit: Kit) -> None:
    shutil.copytree(kit.path / "startup", tmp_path / "startup")
    shutil.copytree(kit.path / "local", tmp_path / "local")
    for number in range(1, 15):
        append_entry(tmp_path, visit(number, 1.0, run=f"run-{number}"))
    lines = list(describe_site(open_kit(tmp_path), datetime.now(UTC), 2))
    assert "The last 10 runs; the log has 4 more:" in lines
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  run-")] == [
        f"run-{number}" for number in range(5, 15)
    ]
    assert sum(" train " in line for line in lines) == 2


def test_status_is_for_hospitals(kit: Kit) -> None:
    done = CliRunner().invoke(app, ["status", str(kit.path.parents[1] / "server")])
    assert "needs the kit of a hospital" in str(done.exception)
