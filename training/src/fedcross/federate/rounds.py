"""The rounds of a run, the same for every engine: train, validate, write a checkpoint."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from fedcross.contract.plain_text import counted
from fedcross.runtime.reporting import Reporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Members
from fedcross.strategies.plan import Plan
from fedcross.strategies.running_average import update_averages
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.evaluation.validation import Validation
from fedcross.training.run.checkpoint import Best, Checkpoint, choose_better
from fedcross.training.run.doubts import doubt_validations
from fedcross.training.run.early_stopping import (
    STOPPED_EARLY,
    exhausts_patience,
    was_stopped_early,
)
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.start import first_members

Save = Callable[[Checkpoint], None]


class RoundVisits(Protocol):
    """Trains members at sites; see `fedcross.strategies.method.Visits`."""

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterable[MemberState | None]:
        """Train member k at site ``sites[k]``; None for a visit that failed."""

    @property
    def losses(self) -> Sequence[float]:
        """Mean training losses of the current round's visits so far."""


@dataclass(frozen=True)
class Engine:
    """The parts of a round that depend on the engine.

    Attributes
    ----------
    visits
        Trains members at sites.
    validate
        Validates the members that predict; None if there are no validation cases.
    save
        Stores the checkpoint of a finished round.
    should_stop
        Called after every round; True ends the training.
    """

    visits: RoundVisits
    validate: Callable[[Members], Validation | None]
    save: Save
    should_stop: Callable[[], bool] = lambda: False


def train_rounds(
    config: TrainingConfig, run: RunFolder, plan: Plan, engine: Engine, reporter: Reporter
) -> bool:
    """Train the remaining rounds of a run; validate and store a checkpoint after every round.

    Parameters
    ----------
    config
        Configuration of the run.
    run
        Run folder; training continues from its last checkpoint.
    plan
        Plan of the run, for the method.
    engine
        Trains, validates and stores.
    reporter
        Receives a log line after every round.

    Returns
    -------
    bool
        Whether the training is finished, after all rounds or earlier by the option ``patience``; False
        after `Engine.should_stop` ended it.
    """
    last = load_last_round(config, run)
    if was_stopped_early(run):
        return True
    continued_at = run.continued_at
    if last.rounds_done == continued_at:
        last = replace(last, averages=())
    rounds = range(last.rounds_done, config.method.rounds)
    strategy = config.method.run(last.members, plan, engine.visits, rounds)
    for rounds_done, members in enumerate(strategy, start=last.rounds_done + 1):
        averages = update_averages(last.averages, members, config.method, rounds_done, continued_at)
        is_last = rounds_done == config.method.rounds
        validation = None
        if rounds_done % config.training.validate_every == 0 or is_last:
            validation = engine.validate(averages or members)
        last = replace(last, rounds_done=rounds_done, members=members, averages=averages)
        last, ends_early = _add_validation(last, validation, config, run)
        engine.save(last)
        losses = engine.visits.losses
        reporter.log(_round_message(rounds_done, config.method.rounds, losses, validation))
        if validation is not None and (doubt := doubt_validations(run.metrics())):
            reporter.warning(doubt)
        should_stop = engine.should_stop()
        if ends_early:
            reporter.log(
                f"Round {rounds_done}: the validation Dice has not improved in "
                f"{counted(config.training.patience or 0, 'validation')}; the training ends."
            )
            return True
        if should_stop and not is_last:
            return False
    return True


def _add_validation(
    last: Checkpoint, validation: Validation | None, config: TrainingConfig, run: RunFolder
) -> tuple[Checkpoint, bool]:
    """Add the round's validation to the checkpoint and the metrics; also whether training ends early."""
    if validation is None:
        return replace(last, validation={}), False
    number = last.rounds_done
    best = last.best
    if len(last.members) == config.members:  # not yet in the rounds that they share
        best = choose_better(best, Best(number, validation.mean_dice, validation.by_site))
    figures = {"mean": validation.mean_dice, **validation.by_site}
    ends_early = number < config.method.rounds and exhausts_patience(
        config.training.patience, run, best, number
    )
    run.add_metrics(
        round=number, validation=figures, **({STOPPED_EARLY: True} if ends_early else {})
    )
    return replace(last, best=best, validation=figures), ends_early


@contextmanager
def save_in_background(save: Save) -> Iterator[Save]:
    """Yield a function that stores a checkpoint with `save` while the next round is trained.

    The function first waits for the checkpoint before; the end of the context waits for the last one.
    Both raise the error of a checkpoint that could not be stored. The members must not be changed
    after the call, which holds for members received from other processes.
    """
    last: Future[None] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="checkpoint") as pool:

        def save_next(checkpoint: Checkpoint) -> None:
            nonlocal last
            if last is not None:
                last.result()
            last = pool.submit(save, checkpoint)

        yield save_next
        if last is not None:
            last.result()


def load_last_round(config: TrainingConfig, run: RunFolder) -> Checkpoint:
    """Load the last checkpoint and drop later metrics; without one return new members (round 0)."""
    last = run.checkpoints.latest()
    if last is None:
        last = Checkpoint(0, first_members(config), None, {})
    run.drop_metrics_after(last.rounds_done)
    return last


def _round_message(
    rounds_done: int, rounds: int, losses: Sequence[float], validation: Validation | None
) -> str:
    message = f"Round {rounds_done}/{rounds}"
    if losses:
        message += f": loss {fmean(losses):.3f}"
    if validation is not None:
        message += f", validation Dice {validation.mean_dice:.3f}"
    return message
