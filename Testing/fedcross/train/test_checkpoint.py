import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fedcross.errors import CheckpointError
from fedcross.train.checkpoint import Best, Checkpoint, Checkpoints, better
from fedcross.train.member import MemberState


def checkpoint(rounds_done: int, best: Best | None = None) -> Checkpoint:
    members = tuple(
        MemberState(
            index,
            {"w": torch.full((3000,), rounds_done + index / 10)},
            {"momentum_buffer.w": torch.rand(3000)},
            rounds_done=rounds_done,
            last_site="s0",
        )
        for index in range(2)
    )
    return Checkpoint(rounds_done, members, best, {"mean": 0.5})


@contextmanager
def small_disk() -> Iterator[None]:
    """Let the system refuse files of more than 5 kB."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "checkpoints")
    assert store.latest() is None
    written = checkpoint(1, Best(1, 0.75))
    store.save(written)
    found = store.latest()
    assert found is not None
    assert (found.rounds_done, found.best, found.validation) == (1, Best(1, 0.75), {"mean": 0.5})
    for before, after in zip(written.members, found.members, strict=True):
        left, right = before.to_tensors(), after.to_tensors()
        assert left.keys() == right.keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    for number in range(1, 7):
        store.save(checkpoint(number, Best(min(number, 2), 0.5)))
    assert store.rounds() == [2, 5, 6]
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_round_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    store.save(checkpoint(2))
    path = tmp_path / "round_0002" / "member_1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"member_1\.safetensors of round_0002 is damaged"):
        store.load(2)
    found = store.latest()
    assert found is not None
    assert found.rounds_done == 1
    store.save(checkpoint(2))  # trained again, it takes the damaged one's place
    assert store.load(2).rounds_done == 2


def test_when_every_round_is_damaged_that_is_said(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    (tmp_path / "round_0001" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="checkpoint of round 1 is damaged"):
        store.latest()
    (tmp_path / "round_0001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="round 1 cannot be read: No such file"):
        store.latest()


def test_what_a_crash_left_half_written_is_no_round(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    (tmp_path / ".round_0002.partial").mkdir()
    (tmp_path / ".round_0002.partial" / "member_0.safetensors").write_bytes(b"half")
    assert store.rounds() == [1]
    store.save(checkpoint(2))
    assert store.load(2).rounds_done == 2


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_loses_no_finished_round(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    with (
        small_disk(),
        pytest.raises(CheckpointError, match=r"round 2 cannot be written: .*--resume"),
    ):
        store.save(checkpoint(2))
    assert os.listdir(tmp_path) == ["round_0001"]
    assert store.load(1).rounds_done == 1


def test_a_disk_that_fails_on_flushing_loses_no_finished_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(CheckpointError, match="No space left on device"):
            store.save(checkpoint(2))
    assert store.rounds() == [1]


def test_the_earlier_of_two_equally_good_rounds_is_the_best() -> None:
    best = better(None, 1, 0.5)
    assert best == Best(1, 0.5)
    assert better(best, 2, 0.5) == Best(1, 0.5)
    assert better(best, 3, 0.6) == Best(3, 0.6)
