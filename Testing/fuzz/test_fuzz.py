"""Some hundred changed inputs of all kinds, and the judge; `make fuzz` tries many."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from fedcross.errors import DataError
from fuzz import judge
from fuzz.campaign import Campaign, Tally, table, try_batch, try_valid
from fuzz.judge import ACCEPTED, FAILED, REFUSED, Outcome
from fuzz.kind import Input, Kind
from fuzz.kinds.all_kinds import ALL, SHARES

SLOW = ("bundle folder", "bundle zip", "DICOM series")
INPUTS, INPUTS_OF_SLOW = 40, 12
ONE = Input({"file": b"content"}, "file")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals and limits")


def kind_of(read: Callable[[Path], Any], verify: Callable[..., None] = lambda *_: None) -> Kind:
    return Kind("trial", lambda: [ONE], st.just(ONE), read, verify)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_changed_inputs_are_refused_with_a_sentence_or_read_right(kind: Kind, tmp_path) -> None:
    try_valid(kind, tmp_path)
    count = INPUTS_OF_SLOW if kind.name in SLOW else INPUTS
    wrong = [
        outcome.reason
        for _one, outcome in try_batch(kind, 10**6, count, tmp_path)
        if outcome.verdict == FAILED
        and not outcome.reason.endswith(" s")  # no test depends on time
    ]
    assert not wrong


def test_every_kind_has_a_share_and_all_shares_are_100_percent() -> None:
    assert set(SHARES) == {kind.name for kind in ALL}
    assert sum(SHARES.values()) == 100


@pytest.mark.skipif(find_spec("atheris") is not None, reason="atheris is installed")
def test_guided_inputs_without_atheris_end_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.guided"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout.startswith("atheris is not installed")


def test_a_batch_is_decided_by_its_number(tmp_path) -> None:
    kind = next(kind for kind in ALL if kind.name == "event line")
    digests = [
        [one.digest for one, _outcome in try_batch(kind, number, 10, tmp_path)]
        for number in (0, 0, 1)
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def _refuse(path: Path) -> None:
    raise DataError("The file is empty.", "Copy it again.")


def _refuse_in_two_lines(path: Path) -> None:
    raise DataError("one\ntwo")


def _crash(path: Path) -> None:
    raise IndexError("a bug")


def _allocate(path: Path) -> int:
    return len(np.ones(250 * 10**6, np.uint8))


def _print(path: Path) -> None:
    os.write(2, b"a library complains")


def _leave(path: Path) -> None:
    (path.parent / "left").touch()


def _hang(path: Path) -> None:
    while True:
        pass


def _be_slow(path: Path) -> None:
    end = time.process_time() + judge.MAX_SECONDS
    while time.process_time() <= end:
        pass


@pytest.mark.parametrize(
    ("read", "verdict", "reason"),
    [
        (Path.read_bytes, ACCEPTED, ""),
        (_refuse, REFUSED, "The file is empty. Copy it again."),
        (_refuse_in_two_lines, FAILED, "not one sentence"),
        (_crash, FAILED, "IndexError at test_fuzz.py"),
        (_allocate, FAILED, " MB"),
        (_print, FAILED, "printed b'a library complains'"),
        (_leave, FAILED, "left behind: input/left"),
        (_hang, FAILED, "Hang"),
        (_be_slow, FAILED, "took 0.0"),
    ],
)
def test_the_judge_tells_what_an_input_does(
    read: Callable[[Path], Any],
    verdict: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if read is _hang:
        monkeypatch.setattr(judge, "HANG_S", 0.2)
    if read is _be_slow:
        monkeypatch.setattr(judge, "MAX_SECONDS", 0.01)
    outcome = judge.judge(kind_of(read), ONE, tmp_path)
    assert outcome.verdict == verdict
    assert reason in outcome.reason


def test_an_accepted_input_with_a_wrong_result_is_a_failure(tmp_path: Path) -> None:
    def verify(result: bytes, one: Input, path: Path) -> None:
        assert result == b"other"

    outcome = judge.judge(kind_of(Path.read_bytes, verify), ONE, tmp_path)
    assert outcome.verdict == FAILED
    assert outcome.reason.startswith("wrong: AssertionError")


def test_a_campaign_goes_on_after_its_last_batch(tmp_path: Path) -> None:
    kind = next(kind for kind in ALL if kind.name == "event line")
    Campaign(tmp_path / "out").run(kind, 10, tmp_path)
    again = Campaign(tmp_path / "out")
    assert (again.tallies[kind.name].inputs, again.tallies[kind.name].batches) == (10, 1)
    before = (tmp_path / "out" / "state.json").stat().st_mtime_ns
    again.run(kind, 10, tmp_path)
    assert (tmp_path / "out" / "state.json").stat().st_mtime_ns == before


def test_an_input_that_ended_the_process_is_counted_and_not_read_again(tmp_path: Path) -> None:
    read: list[Path] = []
    kind = kind_of(read.append)
    (tmp_path / "digest").write_text(ONE.digest, encoding="ascii")
    campaign = Campaign(tmp_path / "out")
    campaign.record_crash("crash or hang, exit code -11", tmp_path)
    campaign = Campaign(tmp_path / "out")
    campaign.run(kind, 1, tmp_path)
    assert len(read) == 2  # only as a valid input
    assert campaign.tallies["trial"].reasons == {"crash or hang, exit code -11": 1}
    assert list((tmp_path / "out" / "failures" / "trial").iterdir())


def test_the_table_adds_up_all_kinds() -> None:
    one, two = Tally(), Tally()
    one.add(Outcome(REFUSED, "", 0.25, 3 * 10**6))
    one.add(Outcome(FAILED, "wrong", 9.0, 10**9))
    two.add(Outcome(ACCEPTED, "", 0.5, 10**6))
    assert table({"a": one, "b": two}).splitlines()[2:] == [
        "| a | 2 | 1 | 0 | 1 | 0.25 | 3 |",
        "| b | 1 | 0 | 1 | 0 | 0.50 | 1 |",
        "| all | 3 | 1 | 1 | 1 | 0.50 | 3 |",
    ]


def test_the_program_writes_the_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fuzz", "--inputs", "200", "--only", "event line"]
    command += ["--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # 8 of 100 inputs are event lines.
    assert "| event line | 16 |" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
