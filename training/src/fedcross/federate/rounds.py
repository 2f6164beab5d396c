"""The rounds of a run, whichever engine makes the visits: train, validate, bring to safety."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from statistics import fmean
from types import TracebackType
from typing import Protocol, Self

from fedcross.runtime.reporting import Reporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Members
from fedcross.strategies.plan import Plan
from fedcross.strategies.running_average import update_averages
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.evaluation.validation import Validation
from fedcross.train.run.checkpoint import Best, Checkpoint, choose_better
from fedcross.train.run.folder import RunFolder

Save = Callable[[Checkpoint], None]


class RoundVisits(Protocol):
    """What an engine offers; see `fedcross.strategies.method.Visits`."""

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterable[MemberState | None]:
        """Let each member train at its site."""

    @property
    def losses(self) -> Sequence[float]:
        """Mean losses of this round's visits so far."""


def train_rounds(
    config: TrainingConfig,
    run: RunFolder,
    plan: Plan,
    visits: RoundVisits,
    validate: Callable[[Members], Validation | None],
    reporter: Reporter,
    *,
    save: Save | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Run the strategy from where the run stands; after every round validate and bring to safety.

    Parameters
    ----------
    config, run, plan
        Of the run.
    visits, validate
        The engine's: train the members at the sites, and judge what predicts.
    reporter
        Hears a line after every round.
    save
        Brings a finished round to safety; None writes it to the run's folder and waits.
    stop
        Asked after every round.

    Returns
    -------
    bool
        Whether all rounds are done; False after a stop.
    """
    save = save or run.checkpoints.save
    done = begin(config, run)
    rounds = range(done.rounds_done, config.method.rounds)
    strategy = config.method.run(done.members, plan, visits, rounds)
    for rounds_done, members in enumerate(strategy, start=done.rounds_done + 1):
        averages = update_averages(done.averages, members, config.method, rounds_done)
        validation = None
        if rounds_done % config.training.validate_every == 0 or rounds_done == config.method.rounds:
            validation = validate(averages or members)
        best, figures = done.best, {}
        if validation is not None:
            best = choose_better(best, Best(rounds_done, validation.mean_dice, validation.by_site))
            figures = {"mean": validation.mean_dice, **validation.by_site}
            run.add_metrics(round=rounds_done, validation=figures)
        done = Checkpoint(rounds_done, members, best, figures, averages)
        save(done)
        reporter.log(_line(rounds_done, config.method.rounds, visits.losses, validation))
        if stop() and rounds_done < config.method.rounds:
            return False
    return True


class Behind:
    """Brings a round to safety while the next one is under way; at the end all are safe.

    For members that nobody changes any more, such as those that came from elsewhere. A round that
    cannot be written is known when the next one is to be, or at the end.

    Parameters
    ----------
    save
        Writes a round, and returns when it is safe.
    """

    def __init__(self, save: Save) -> None:
        self._save = save
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __call__(self, checkpoint: Checkpoint) -> None:
        """Begin to write a round once the one before is safe."""
        self._wait()
        self._last = self._pool.submit(self._save, checkpoint)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None:
            self._wait()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


def begin(config: TrainingConfig, run: RunFolder) -> Checkpoint:
    """Where the run stands: its last finished round, or, in no checkpoint yet, round 0."""
    done = run.checkpoints.latest()
    if done is None:
        members = config.method.first_members(config.network, len(config.sites), config.seed)
        done = Checkpoint(0, members, None, {})
    run.drop_metrics_after(done.rounds_done)
    return done


def _line(
    rounds_done: int, rounds: int, losses: Sequence[float], validation: Validation | None
) -> str:
    line = f"Round {rounds_done}/{rounds}"
    if losses:
        line += f": loss {fmean(losses):.3f}"
    if validation is not None:
        line += f", validation Dice {validation.mean_dice:.3f}"
    return line
