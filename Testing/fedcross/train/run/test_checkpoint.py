import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fedcross.errors import CheckpointError
from fedcross.runtime.partial import PARTIAL, hidden_name
from fedcross.strategies.member import MemberState
from fedcross.train.run.checkpoint import Best, Checkpoint, Checkpoints, better


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
    best = Best(1, 0.75, {"north": 0.7, "south": 0.8})
    written = checkpoint(1, best)
    store.save(written)
    found = store.latest()
    assert found is not None
    assert (found.rounds_done, found.best, found.validation) == (1, best, {"mean": 0.5})
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
    partial = hidden_name(PARTIAL, tmp_path / "round_0002")
    partial.mkdir()
    (partial / "member_0.safetensors").write_bytes(b"half")
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


def test_a_checkpoint_from_before_the_figures_by_site_is_read(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(2, Best(1, 0.75)))
    path = tmp_path / "round_0002" / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    del state["best"]["by_site"]
    path.write_text(json.dumps(state), encoding="utf-8")
    best = store.load(2).best
    assert best == Best(1, 0.75)
    # All that is known of it is the mean.
    assert better(best, Best(3, 0.74, {"north": 0.9, "south": 0.58})) == best
    assert better(best, Best(3, 0.76, {"north": 0.76})).round == 3


def test_the_earlier_of_two_equally_good_rounds_is_the_best() -> None:
    first = Best(1, 0.5, {"north": 0.25, "south": 0.75})
    assert better(None, first) == first
    assert better(first, Best(2, 0.5, {"south": 0.25, "north": 0.75})) == first
    third = Best(3, 0.625, {"north": 0.5, "south": 0.75})
    assert better(first, third) == third


def test_rounds_of_the_same_sites_are_compared_by_the_mean_over_all_cases() -> None:
    # Three cases in the north, one in the south: 0.75 * 0.8 + 0.25 * 0.4 = 0.7 is more than
    # 0.75 * 0.6 + 0.25 * 0.9 = 0.675, though the mean over the sites is 0.6 and not 0.75.
    first = Best(1, 0.675, {"north": 0.6, "south": 0.9})
    second = Best(2, 0.7, {"south": 0.4, "north": 0.8})
    assert better(first, second) == second
    assert better(second, Best(3, 0.675, first.by_site)) == second


FULL = Best(4, 0.7, {"north": 0.9, "east": 0.7, "south": 0.5})


@pytest.mark.parametrize(
    ("by_site", "is_better"),
    [
        # The hardest site was away. Over the other two the full round has (0.9 + 0.7) / 2 = 0.8.
        ({"north": 0.875, "east": 0.625}, False),  # 0.75, though more than 0.7
        ({"north": 1.0, "east": 0.75}, True),  # 0.875
        ({"east": 0.75, "south": 0.5}, True),  # 0.625, more than (0.7 + 0.5) / 2 = 0.6
        ({"south": 0.5}, False),  # as good there: the earlier
        ({"south": 0.625}, True),
        # A site that was never there before counts for neither.
        ({"north": 0.9, "west": 1.0}, False),
        ({"north": 0.95, "west": 0.0}, True),
    ],
)
def test_a_site_that_was_away_makes_no_round_better(
    by_site: dict[str, float], is_better: bool
) -> None:
    new = Best(5, sum(by_site.values()) / len(by_site), by_site)
    assert better(FULL, new) == (new if is_better else FULL)


def test_a_full_round_after_one_without_the_hardest_site_can_be_the_best() -> None:
    # Means 0.75 and 0.7, but over north and east 0.75 and 0.8.
    assert better(Best(3, 0.75, {"north": 0.875, "east": 0.625}), FULL) == FULL


def test_of_rounds_that_no_site_judged_both_the_one_of_more_sites_is_better() -> None:
    one, two = Best(1, 0.9, {"west": 0.9}), Best(2, 0.3, {"north": 0.2, "south": 0.4})
    assert better(one, two) == two
    assert better(two, Best(3, 0.9, one.by_site)) == two
    assert better(one, Best(2, 0.95, {"north": 0.95})) == one
