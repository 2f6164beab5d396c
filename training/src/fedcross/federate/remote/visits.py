"""Visits at remote sites, from the server's side; `flare.site_connections` sends the tasks."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from fedcross.errors import CheckpointError, FedCrossError
from fedcross.federate.remote.gaps import Gap, Gaps, ends_block, pack_into_waves
from fedcross.federate.remote.guard import UpdateError, check_update
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.site_work import TRAIN
from fedcross.federate.skipped_steps import record_skipped
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import Plan
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder

GAPS = "gaps.json"


class SiteError(FedCrossError):
    """A site did not do a task."""


class HasTensors(Protocol):
    """Something that can be sent to a site: a member, or other tensors that a task needs."""

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything as contiguous tensors."""


class SendTask(Protocol):
    """Sends a task to a site and returns its answer."""

    def __call__(
        self, site: str, task: str, members: Sequence[HasTensors], round_index: int
    ) -> Mapping[str, Any]:
        """Send a task, see `SiteWork.do`; raises `SiteError` if the site does not do it."""


@dataclass(frozen=True)
class VisitResult:
    """Result of one visit.

    Attributes
    ----------
    member
        The member after the visit; None if the visit failed.
    reason
        Why the visit failed, one sentence; else empty.
    loss
        Mean training loss; None if the site does not share it or nothing was trained.
    seconds
        Wall time of the visit with sending both ways, in seconds.
    skipped
        Number of steps that were skipped; None if the site does not share it.
    """

    member: MemberState | None
    reason: str = ""
    loss: float | None = None
    seconds: float = 0.0
    skipped: int | None = None


class RemoteVisits:
    """Trains members at remote sites; all visits of a round run at the same time.

    After a visit that fails, or whose member is refused by `guard`, the member stays as it was. The
    failed visit is stored as a gap in ``gaps.json``; a method that makes up visits repeats it later,
    see `gaps`.

    Parameters
    ----------
    config
        Configuration of the run.
    plan
        Plan of the run; names the absent sites.
    send_task
        Sends a task to a site and returns its answer.
    run
        Run folder; receives metrics and gaps.
    rounds_done
        Number of finished rounds; gaps of later rounds are dropped.
    log
        Receives a sentence about every visit that failed or in which steps were skipped.
    """

    def __init__(
        self,
        config: TrainingConfig,
        plan: Plan,
        send_task: SendTask,
        run: RunFolder,
        rounds_done: int,
        log: Callable[[str], None],
    ) -> None:
        self._config, self._plan, self._send_task, self._run = config, plan, send_task, run
        self._names = [site.name for site in config.sites]
        self._log = log
        self._gaps = read_gaps(run).at_round(rounds_done)
        self.losses: list[float] = []

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        """Train member k at site ``sites[k]``; None where the site was absent or the visit failed."""
        self.losses = []
        trained = self._run_scheduled(members, sites, round_index)
        if self._config.method.makes_up_visits:
            trained = self._make_up_gaps(members, list(trained), round_index)
        yield from trained
        self._run.write(GAPS, self._gaps.as_record())

    def _run_scheduled(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        absent = self._plan.absent(round_index)
        present = [(m, s) for m, s in zip(members, sites, strict=True) if s not in absent]
        results = self._run_in_parallel(present, round_index)
        for member, site in zip(members, sites, strict=True):
            if site in absent:
                self._record(member, site, round_index, absent=True)
                yield None
                continue
            result = next(results)
            if result.member is None:
                gap = Gap(round_index + 1, member.index, site, result.reason)
                self._gaps = self._gaps.with_gap(gap)
                self._record(member, site, round_index, failed=result.reason)
            else:
                self._record_visit(member, site, round_index, result)
            yield result.member

    def _make_up_gaps(
        self, before: Sequence[MemberState], trained: list[MemberState | None], round_index: int
    ) -> Iterator[MemberState | None]:
        """At the end of a block also run the visits to make up; yield the members after them."""
        if ends_block(round_index, len(self._names), self._config.method.rounds):
            for wave in pack_into_waves(self._gaps.outstanding):
                self._run_wave(wave, before, trained, round_index)
        yield from trained

    def _run_wave(
        self,
        wave: Sequence[Gap],
        before: Sequence[MemberState],
        trained: list[MemberState | None],
        round_index: int,
    ) -> None:
        pairs = [(trained[gap.member] or before[gap.member], gap.site) for gap in wave]
        results = self._run_in_parallel(pairs, round_index)
        for gap, (member, site), result in zip(wave, pairs, results, strict=True):
            if result.member is None:
                self._record(member, site, round_index, failed=result.reason, makes_up=gap.round)
            else:
                self._gaps = self._gaps.with_made_up(gap, round_index + 1)
                self._record_visit(member, site, round_index, result, makes_up=gap.round)
                trained[gap.member] = result.member

    def _run_in_parallel(
        self, pairs: Sequence[tuple[MemberState, int]], round_index: int
    ) -> Iterator[VisitResult]:
        return map_in_parallel(lambda pair: self._visit(*pair, round_index), pairs)

    def _visit(self, member: MemberState, site: int, round_index: int) -> VisitResult:
        name, started = self._names[site], time.monotonic()
        try:
            answer = self._send_task(name, TRAIN, [member], round_index)
            after = check_update(member, answer["member"], name, self._config)
        except (SiteError, UpdateError) as error:
            self._log(f"Round {round_index + 1}: {error}")
            return VisitResult(None, str(error))
        seconds = time.monotonic() - started
        return VisitResult(after, "", answer["loss"], seconds, answer["skipped"])

    def _record_visit(
        self, member: MemberState, site: int, round_index: int, result: VisitResult, **more: Any
    ) -> None:
        assert result.member is not None
        if result.loss is not None:
            self.losses.append(result.loss)
        self._record(
            member,
            site,
            round_index,
            loss=result.loss,
            bytes=_bytes(member) + _bytes(result.member),
            seconds=round(result.seconds, 3),
            **record_skipped(result.skipped, member, self._names[site], round_index, self._log),
            **more,
        )

    def _record(self, member: MemberState, site: int, round_index: int, **figures: Any) -> None:
        self._run.add_metrics(
            round=round_index + 1, member=member.index, site=self._names[site], **figures
        )


def read_gaps(run: RunFolder) -> Gaps:
    """Read ``gaps.json`` of a run; no gaps if there is no file.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    if not (run.path / GAPS).is_file():
        return Gaps()
    try:
        return Gaps.from_record(run.read(GAPS))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{GAPS} of the run {run.path.name} is damaged.") from error


def _bytes(member: MemberState) -> int:
    return sum(tensor.nbytes for tensor in member.to_tensors().values())
