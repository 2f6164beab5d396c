"""Visits at sites that are elsewhere, as the server sees them.

Which engine carries the questions does not matter here; see `flare` for one that does.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fedcross.errors import CheckpointError, FedCrossError
from fedcross.federate.remote.gaps import Gap, Gaps, ends_block, waves
from fedcross.federate.remote.guard import UpdateError, accepted
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.site_work import TRAIN
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import Plan
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.run.folder import RunFolder

GAPS = "gaps.json"


class SiteError(FedCrossError):
    """A site did not do what it was asked to."""


class SendTask(Protocol):
    """Sends a task to a site and returns its answer."""

    def __call__(
        self, site: str, task: str, members: Sequence[MemberState], round_index: int
    ) -> Mapping[str, Any]:
        """Send a task, see `SiteWork.do`; raises `SiteError` if the site does not do it."""


@dataclass(frozen=True)
class Returned:
    """What came of a visit: the member after it, or why there is none."""

    member: MemberState | None
    reason: str = ""
    loss: float | None = None
    seconds: float = 0.0


class RemoteVisits:
    """What a strategy asks for visits; all of a round happen at the same time.

    A visit that fails, or brings back what the guard refuses, leaves the member as it was. The gap is
    on record, and FedCross makes it up, see `gaps`.

    Parameters
    ----------
    config, plan
        Of the run.
    send_task
        Sends a task to a site and returns its answer.
    run
        Keeps metrics and gaps.
    rounds_done
        Where the run begins again.
    tell
        Hears a sentence about every visit that failed.
    """

    def __init__(
        self,
        config: TrainingConfig,
        plan: Plan,
        send_task: SendTask,
        run: RunFolder,
        rounds_done: int,
        tell: Callable[[str], None],
    ) -> None:
        self._config, self._plan, self._send_task, self._run = config, plan, send_task, run
        self._names = [site.name for site in config.sites]
        self._tell = tell
        self._gaps = read_gaps(run).after(rounds_done)
        self.losses: list[float] = []

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        """Let each member train at its site; None where that did not come about."""
        self.losses = []
        after = self._scheduled(members, sites, round_index)
        if self._config.method.makes_up_visits:
            after = self._made_up_too(members, list(after), round_index)
        yield from after
        self._run.write(GAPS, self._gaps.record())

    def _scheduled(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        absent = self._plan.absent(round_index)
        present = [(m, s) for m, s in zip(members, sites, strict=True) if s not in absent]
        returned = self._side_by_side(present, round_index)
        for member, site in zip(members, sites, strict=True):
            if site in absent:
                self._record(member, site, round_index, absent=True)
                yield None
                continue
            back = next(returned)
            if back.member is None:
                gap = Gap(round_index + 1, member.index, site, back.reason)
                self._gaps = self._gaps.with_gap(gap)
                self._record(member, site, round_index, failed=back.reason)
            else:
                self._heard(member, site, round_index, back)
            yield back.member

    def _made_up_too(
        self, before: Sequence[MemberState], trained: list[MemberState | None], round_index: int
    ) -> Iterator[MemberState | None]:
        """At the end of a block, the members after the visits that they make up as well."""
        if ends_block(round_index, len(self._names), self._config.method.rounds):
            for wave in waves(self._gaps.outstanding):
                self._make_up(wave, before, trained, round_index)
        yield from trained

    def _make_up(
        self,
        wave: Sequence[Gap],
        before: Sequence[MemberState],
        trained: list[MemberState | None],
        round_index: int,
    ) -> None:
        pairs = [(trained[gap.member] or before[gap.member], gap.site) for gap in wave]
        returned = self._side_by_side(pairs, round_index)
        for gap, (member, site), back in zip(wave, pairs, returned, strict=True):
            if back.member is None:
                self._record(member, site, round_index, failed=back.reason, makes_up=gap.round)
            else:
                self._gaps = self._gaps.made_up(gap, round_index + 1)
                self._heard(member, site, round_index, back, makes_up=gap.round)
                trained[gap.member] = back.member

    def _side_by_side(
        self, pairs: Sequence[tuple[MemberState, int]], round_index: int
    ) -> Iterator[Returned]:
        return map_in_parallel(lambda pair: self._visit(*pair, round_index), pairs)

    def _visit(self, member: MemberState, site: int, round_index: int) -> Returned:
        name, began = self._names[site], time.monotonic()
        try:
            answer = self._send_task(name, TRAIN, [member], round_index)
            after = accepted(member, answer["member"], name, self._config)
        except (SiteError, UpdateError) as error:
            self._tell(f"Round {round_index + 1}: {error}")
            return Returned(None, str(error))
        return Returned(after, loss=answer["loss"], seconds=time.monotonic() - began)

    def _heard(
        self, member: MemberState, site: int, round_index: int, back: Returned, **more: Any
    ) -> None:
        assert back.member is not None
        if back.loss is not None:
            self.losses.append(back.loss)
        self._record(
            member,
            site,
            round_index,
            loss=back.loss,
            bytes=_bytes(member) + _bytes(back.member),
            seconds=round(back.seconds, 3),
            **more,
        )

    def _record(self, member: MemberState, site: int, round_index: int, **figures: Any) -> None:
        self._run.add_metrics(
            round=round_index + 1, member=member.index, site=self._names[site], **figures
        )


def read_gaps(run: RunFolder) -> Gaps:
    """The gaps on record; none before the first round.

    Raises
    ------
    CheckpointError
        If the record is damaged.
    """
    if not (run.path / GAPS).is_file():
        return Gaps()
    try:
        return Gaps.from_record(run.read(GAPS))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{GAPS} of the run {run.path.name} is damaged.") from error


def _bytes(member: MemberState) -> int:
    return sum(tensor.nbytes for tensor in member.to_tensors().values())
