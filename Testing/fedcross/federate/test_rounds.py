"""A round is saved while the next one trains."""

import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError
from fedcross.federate.rounds import Save, save_in_background
from fedcross.training.run.checkpoint import Checkpoint, Checkpoints


def after(rounds_done: int) -> Checkpoint:
    return Checkpoint(rounds_done, (), None, {})


def train(
    saving: AbstractContextManager[Save], rounds: int, then: BaseException | None = None
) -> None:
    with saving as save:
        for number in range(1, rounds + 1):
            save(after(number))
        if then is not None:
            raise then


def test_the_next_round_starts_while_one_is_written_and_at_the_end_all_are_saved(
    tmp_path: Path,
) -> None:
    checkpoints, may_write = Checkpoints(tmp_path), threading.Event()

    def save_later(checkpoint: Checkpoint) -> None:
        assert may_write.wait(60)
        checkpoints.save(checkpoint)

    with save_in_background(save_later) as save:
        save(after(1))
        assert checkpoints.rounds() == []
        may_write.set()
        save(after(2))
        assert 1 in checkpoints.rounds()  # one at a time, in order
    assert checkpoints.rounds() == [1, 2]


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_round_that_cannot_be_written_ends_the_run_at_the_next_save_or_at_the_end(
    rounds: int,
) -> None:
    tried = []

    def full(checkpoint: Checkpoint) -> None:
        tried.append(checkpoint.rounds_done)
        raise CheckpointError("no space left on device")

    with pytest.raises(CheckpointError, match="no space left"):
        train(save_in_background(full), rounds)
    assert tried == [1]


def test_the_error_that_ends_a_run_is_raised_even_if_the_last_round_cannot_be_written() -> None:
    saved = []
    with pytest.raises(KeyboardInterrupt):
        train(save_in_background(saved.append), 1, then=KeyboardInterrupt())
    assert saved == [after(1)]

    def full(_: Checkpoint) -> None:
        raise CheckpointError("no space left on device")

    with pytest.raises(KeyboardInterrupt):
        train(save_in_background(full), 1, then=KeyboardInterrupt())
