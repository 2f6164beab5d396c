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
from fedcross.strategies.member import MemberState
from fedcross.train.run.checkpoint import Best, Checkpoint, Checkpoints, choose_better


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
    """Limit the size of files to 5 kB, as a nearly full disk does."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_loaded_checkpoint_equals_the_saved_one(tmp_path: Path) -> None:
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


def test_the_last_two_rounds_and_the_best_one_are_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    for number in range(1, 7):
        store.save(checkpoint(number, Best(min(number, 2), 0.5)))
    assert store.rounds() == [2, 5, 6]
    assert not list(tmp_path.glob(".*"))


def test_the_latest_checkpoint_is_the_last_one_that_is_not_damaged(tmp_path: Path) -> None:
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
    store.save(checkpoint(2))  # replaces the damaged one
    assert store.load(2).rounds_done == 2


def test_an_error_is_raised_if_every_round_is_damaged(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    (tmp_path / "round_0001" / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="checkpoint of round 1 is damaged"):
        store.latest()
    (tmp_path / "round_0001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="round 1 cannot be read: No such file"):
        store.latest()


def test_a_partial_checkpoint_of_a_crash_is_ignored(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    (tmp_path / ".round_0002.partial").mkdir()
    (tmp_path / ".round_0002.partial" / "member_0.safetensors").write_bytes(b"half")
    assert store.rounds() == [1]
    store.save(checkpoint(2))
    assert store.load(2).rounds_done == 2


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_does_not_change_earlier_rounds(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(1))
    with (
        small_disk(),
        pytest.raises(CheckpointError, match=r"round 2 cannot be written: .*--resume"),
    ):
        store.save(checkpoint(2))
    assert os.listdir(tmp_path) == ["round_0001"]
    assert store.load(1).rounds_done == 1


def test_an_error_on_flushing_does_not_change_earlier_rounds(
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


def test_a_checkpoint_without_dice_by_site_is_read(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    store.save(checkpoint(2, Best(1, 0.75)))
    path = tmp_path / "round_0002" / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    del state["best"]["by_site"]
    path.write_text(json.dumps(state), encoding="utf-8")
    best = store.load(2).best
    assert best == Best(1, 0.75)
    # Only its mean is known.
    assert choose_better(best, Best(3, 0.74, {"north": 0.9, "south": 0.58})) == best
    assert choose_better(best, Best(3, 0.76, {"north": 0.76})).round == 3


def test_the_earlier_of_two_equally_good_rounds_is_the_best() -> None:
    first = Best(1, 0.5, {"north": 0.25, "south": 0.75})
    assert choose_better(None, first) == first
    assert choose_better(first, Best(2, 0.5, {"south": 0.25, "north": 0.75})) == first
    third = Best(3, 0.625, {"north": 0.5, "south": 0.75})
    assert choose_better(first, third) == third


def test_rounds_of_the_same_sites_are_compared_by_the_mean_over_all_cases() -> None:
    # With three cases in the north and one in the south the second round has
    # 0.75 * 0.8 + 0.25 * 0.4 = 0.7, which is more than 0.75 * 0.6 + 0.25 * 0.9 = 0.675. The means over
    # the sites are 0.6 and 0.75; they do not decide.
    first = Best(1, 0.675, {"north": 0.6, "south": 0.9})
    second = Best(2, 0.7, {"south": 0.4, "north": 0.8})
    assert choose_better(first, second) == second
    assert choose_better(second, Best(3, 0.675, first.by_site)) == second


FULL = Best(4, 0.7, {"north": 0.9, "east": 0.7, "south": 0.5})


@pytest.mark.parametrize(
    ("by_site", "is_better"),
    [
        # Without the south the full round has (0.9 + 0.7) / 2 = 0.8.
        ({"north": 0.875, "east": 0.625}, False),  # 0.75, less than 0.8 although more than 0.7
        ({"north": 1.0, "east": 0.75}, True),  # 0.875
        ({"east": 0.75, "south": 0.5}, True),  # 0.625, more than (0.7 + 0.5) / 2 = 0.6
        ({"south": 0.5}, False),  # equal: the earlier round
        ({"south": 0.625}, True),
        # A site that the full round lacks is not compared.
        ({"north": 0.9, "west": 1.0}, False),
        ({"north": 0.95, "west": 0.0}, True),
    ],
)
def test_rounds_with_different_sites_are_compared_over_their_common_sites(
    by_site: dict[str, float], is_better: bool
) -> None:
    new = Best(5, sum(by_site.values()) / len(by_site), by_site)
    assert choose_better(FULL, new) == (new if is_better else FULL)


def test_a_round_with_all_sites_can_be_better_despite_a_lower_mean() -> None:
    # The means are 0.75 and 0.7, but over north and east they are 0.75 and 0.8.
    assert choose_better(Best(3, 0.75, {"north": 0.875, "east": 0.625}), FULL) == FULL


def test_of_rounds_without_a_common_site_the_one_with_more_sites_is_better() -> None:
    one, two = Best(1, 0.9, {"west": 0.9}), Best(2, 0.3, {"north": 0.2, "south": 0.4})
    assert choose_better(one, two) == two
    assert choose_better(two, Best(3, 0.9, one.by_site)) == two
    assert choose_better(one, Best(2, 0.95, {"north": 0.95})) == one
