"""Visits in this process, one after another, each on record in the run's metrics."""

from collections.abc import Iterator, Sequence

import torch

from fedcross.federate.plan import Plan
from fedcross.federate.strategies import POOLED
from fedcross.infer.events import Reporter
from fedcross.train.config import TrainingConfig
from fedcross.train.member import MemberState
from fedcross.train.method_config import AGGREGATING
from fedcross.train.run_folder import RunFolder
from fedcross.train.trainer import visit
from fedcross.train.volumes import Site

POOLED_NAME = "all sites"


class LocalVisits:
    """What a strategy asks for visits.

    Parameters
    ----------
    config, plan
        Of the run.
    sites
        In the configuration's order.
    device
        Where to compute.
    run
        Hears of every visit: site, loss, bytes that would cross the wire there and back.
    reporter
        Hears of every epoch.
    """

    def __init__(
        self,
        config: TrainingConfig,
        plan: Plan,
        sites: Sequence[Site],
        device: torch.device,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        self._config, self._plan, self._device = config, plan, device
        self._run, self._reporter = run, reporter
        self._sites = list(sites)
        self._per_round = len(sites) if config.method.kind in AGGREGATING else config.members
        self._losses: list[float] = []

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        """Let each member train at its site, when it is asked for; None at a site that is absent."""
        self._losses = []
        absent = self._plan.absent(round_index)
        for place, (member, site) in enumerate(zip(members, sites, strict=True)):
            if site in absent:
                self._run.add_metrics(
                    round=round_index + 1,
                    member=member.index,
                    site=self._sites[site].name,
                    absent=True,
                )
                yield None
            else:
                yield self._visit(member, site, round_index, place)

    @property
    def losses(self) -> list[float]:
        """Mean losses of this round's visits so far."""
        return self._losses

    def _visit(self, member: MemberState, site: int, round_index: int, place: int) -> MemberState:
        where = pooled(self._sites) if site == POOLED else self._sites[site]
        before = round_index * self._per_round + place

        def told(done: int, epochs: int) -> None:
            total = self._config.method.rounds * self._per_round * epochs
            self._reporter.progress(before * epochs + done, total, "train")

        after, report = visit(member, where, round_index, self._config, self._device, told)
        if report.loss is not None:
            self._losses.append(report.loss)
        self._run.add_metrics(
            round=round_index + 1,
            member=member.index,
            site=where.name,
            loss=report.loss,
            samples=report.samples,
            bytes=self._wire_bytes(member) + self._wire_bytes(after),
            seconds=round(report.seconds, 3),
        )
        return after

    def _wire_bytes(self, member: MemberState) -> int:
        tensors = member.state().items()
        return sum(tensor.nbytes for name, tensor in tensors if not self._plan.stays(name))


def pooled(sites: Sequence[Site]) -> Site:
    """All training cases as those of one site."""
    return Site(POOLED_NAME, tuple(volume for site in sites for volume in site.train))
