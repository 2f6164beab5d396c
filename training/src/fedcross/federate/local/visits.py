"""Visits in this process, one at a time on each device, each on record in the run's metrics."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue

import torch

from fedcross.runtime.reporting import Reporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import ALL_SITES
from fedcross.strategies.plan import Plan
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.data.volumes import Site
from fedcross.train.run.folder import RunFolder
from fedcross.train.step.trainer import VisitReport, visit

POOLED_NAME = "all sites"


class LocalVisits:
    """What a strategy asks for visits.

    Parameters
    ----------
    config, plan
        Of the run.
    sites
        In the configuration's order.
    devices
        Where to compute: with several, as many visits of a round side by side. A GPU may be there more
        than once: each time is a stream of its own.
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
        devices: Sequence[torch.device],
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        self._config, self._plan = config, plan
        self._run, self._reporter = run, reporter
        self._workers = len(devices)
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for device in devices:
            self._idle.put(_Worker(device, has_stream=devices.count(device) > 1))
        self._sites = list(sites)
        self._per_round = config.method.visits_per_round(len(sites))
        self._losses: list[float] = []
        self._epochs_done, self._lock = 0, threading.Lock()

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        """Let each member train at its site; None at a site that is absent.

        On one device a visit begins when it is asked for, on several all of them at once.
        """
        self._losses = []
        self._epochs_done = round_index * self._per_round * self._config.method.local_epochs
        absent = self._plan.absent(round_index)
        asked = [
            (member, None if site in absent else self._site(site), round_index)
            for member, site in zip(members, sites, strict=True)
        ]
        with ThreadPoolExecutor(self._workers) as pool:
            done = pool.map(self._visit, *zip(*asked, strict=True)) if self._workers > 1 else None
            for place, (member, site, _) in enumerate(asked):
                found = self._visit(*asked[place]) if done is None else next(done)
                yield self._on_record(member, sites[place], site, round_index, found)

    @property
    def losses(self) -> list[float]:
        """Mean losses of this round's visits so far."""
        return self._losses

    def _site(self, site: int) -> Site:
        return pooled(self._sites) if site == ALL_SITES else self._sites[site]

    def _visit(
        self, member: MemberState, site: Site | None, round_index: int
    ) -> tuple[MemberState, VisitReport] | None:
        """Train on a device that is idle; nothing at a site that is absent."""
        if site is None:
            for _ in range(self._config.method.local_epochs):
                self._epoch_done()
            return None
        worker = self._idle.get()
        try:
            with worker.stream():
                return visit(
                    member,
                    site,
                    round_index,
                    self._config,
                    worker.device,
                    lambda _, __: self._epoch_done(),
                )
        finally:
            self._idle.put(worker)

    def _epoch_done(self) -> None:
        method = self._config.method
        with self._lock:
            self._epochs_done += 1
            total = method.rounds * self._per_round * method.local_epochs
            self._reporter.progress(self._epochs_done, total, "train")

    def _on_record(
        self,
        member: MemberState,
        index: int,
        site: Site | None,
        round_index: int,
        found: tuple[MemberState, VisitReport] | None,
    ) -> MemberState | None:
        """Note a visit, or that there was none, in the run's metrics; return the member after."""
        where = {"round": round_index + 1, "member": member.index}
        if site is None or found is None:
            self._run.add_metrics(**where, site=self._sites[index].name, absent=True)
            return None
        after, report = found
        if report.loss is not None:
            self._losses.append(report.loss)
        self._run.add_metrics(
            **where,
            site=site.name,
            loss=report.loss,
            samples=report.samples,
            bytes=self._wire_bytes(member) + self._wire_bytes(after),
            seconds=round(report.seconds, 3),
        )
        return after

    def _wire_bytes(self, member: MemberState) -> int:
        tensors = member.state().items()
        return sum(tensor.nbytes for name, tensor in tensors if not self._plan.stays(name))


class _Worker:
    """A device that does one visit at a time; on a GPU that others use as well, in its own stream."""

    def __init__(self, device: torch.device, *, has_stream: bool) -> None:
        self.device = device
        # One for all visits: PyTorch keeps memory for each stream apart.
        is_shared_gpu = has_stream and device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if is_shared_gpu else None  # type: ignore[no-untyped-call]

    def stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def pooled(sites: Sequence[Site]) -> Site:
    """All training cases as those of one site."""
    return Site(POOLED_NAME, tuple(volume for site in sites for volume in site.train))
