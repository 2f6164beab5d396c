"""A round is brought to safety while the next one is under way."""

import threading
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError
from fedcross.federate.rounds import Behind
from fedcross.training.run.checkpoint import Checkpoint, Checkpoints


def after(rounds_done: int) -> Checkpoint:
    return Checkpoint(rounds_done, (), None, {})


def train(behind: Behind, rounds: int, then: BaseException | None = None) -> None:
    with behind as save:
        for number in range(1, rounds + 1):
            save(after(number))
        if then is not None:
            raise then


def test_the_next_round_begins_while_one_is_written_and_at_the_end_all_are_safe(
    tmp_path: Path,
) -> None:
    checkpoints, goes_on = Checkpoints(tmp_path), threading.Event()

    def slowly(checkpoint: Checkpoint) -> None:
        assert goes_on.wait(60)
        checkpoints.save(checkpoint)

    with Behind(slowly) as save:
        save(after(1))
        assert checkpoints.rounds() == []  # and yet we are here
        goes_on.set()
        save(after(2))
        assert 1 in checkpoints.rounds()  # one at a time, in order
    assert checkpoints.rounds() == [1, 2]


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_round_that_cannot_be_written_ends_the_run_with_the_next_one_or_at_the_end(
    rounds: int,
) -> None:
    tried = []

    def full(checkpoint: Checkpoint) -> None:
        tried.append(checkpoint.rounds_done)
        raise CheckpointError("no space left on device")

    with pytest.raises(CheckpointError, match="no space left"):
        train(Behind(full), rounds)
    assert tried == [1]


def test_what_ends_a_run_is_said_whether_or_not_its_last_round_could_be_written() -> None:
    saved = []
    with pytest.raises(KeyboardInterrupt):
        train(Behind(saved.append), 1, then=KeyboardInterrupt())
    assert saved == [after(1)]

    def full(_: Checkpoint) -> None:
        raise CheckpointError("no space left on device")

    with pytest.raises(KeyboardInterrupt):
        train(Behind(full), 1, then=KeyboardInterrupt())
