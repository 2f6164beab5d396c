"""Visits in this process: one at a time on each device; each is written to the run's metrics."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue

import torch

from fedcross.federate.skipped_steps import record_skipped
from fedcross.runtime.reporting import Reporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import ALL_SITES
from fedcross.strategies.plan import Plan
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.run.folder import RunFolder
from fedcross.training.step.visit import VisitReport, visit

POOLED_NAME = "all sites"


class LocalVisits:
    """Trains members at sites whose cases are in memory; see `fedcross.federate.rounds.RoundVisits`.

    Parameters
    ----------
    config
        Configuration of the run.
    plan
        Plan of the run; names the absent sites and the tensors that stay at a site.
    sites
        The sites with their cases, in the configuration's order.
    devices
        Devices that compute. With several, so many visits of a round run at the same time. A GPU may be
        listed more than once; each entry uses a CUDA stream of its own.
    run
        Receives a line of metrics for every visit: site, loss, samples, seconds, the bytes that
        sending the member to the site and back would take, and the number of skipped steps if there
        were any.
    reporter
        Receives the progress after every epoch, and a warning if steps of a visit were skipped.
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
        self._device_count = len(devices)
        self._idle: SimpleQueue[_Device] = SimpleQueue()
        for device in devices:
            self._idle.put(_Device(device, is_shared=devices.count(device) > 1))
        self._sites = list(sites)
        self._losses: list[float] = []
        self._epochs_done, self._lock = 0, threading.Lock()

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        """Train member k at site ``sites[k]``; None at a site that is absent.

        With one device a visit begins when its result is requested. With several all visits are
        queued at once.
        """
        self._losses = []
        self._epochs_done = self._epochs_before(round_index)
        absent = self._plan.absent(round_index)
        visits = [
            (member, None if site in absent else self._site(site), round_index)
            for member, site in zip(members, sites, strict=True)
        ]
        with ThreadPoolExecutor(self._device_count) as pool:
            is_parallel = self._device_count > 1
            results = pool.map(self._visit, *zip(*visits, strict=True)) if is_parallel else None
            for index, (member, site, _) in zip(sites, visits, strict=True):
                result = (
                    self._visit(member, site, round_index) if results is None else next(results)
                )
                yield self._record(member, index, site, round_index, result)

    @property
    def losses(self) -> list[float]:
        """Mean training losses of the current round's visits so far."""
        return self._losses

    def _site(self, index: int) -> Site:
        return pool_sites(self._sites) if index == ALL_SITES else self._sites[index]

    def _visit(
        self, member: MemberState, site: Site | None, round_index: int
    ) -> tuple[MemberState, VisitReport] | None:
        """Train on an idle device; without a site only count the epochs and return None."""
        if site is None:
            for _ in range(self._config.method.local_epochs):
                self._count_epoch()
            return None
        device = self._idle.get()
        try:
            with device.use_stream():
                return visit(
                    member,
                    site,
                    round_index,
                    self._config,
                    device.device,
                    lambda _, __: self._count_epoch(),
                )
        finally:
            self._idle.put(device)

    def _count_epoch(self) -> None:
        total = self._epochs_before(self._config.method.rounds)
        with self._lock:
            self._epochs_done += 1
            self._reporter.progress(self._epochs_done, total, "train")

    def _epochs_before(self, round_index: int) -> int:
        """Local epochs of all visits before a round."""
        method = self._config.method
        return method.visits_before(round_index, len(self._sites)) * method.local_epochs

    def _record(
        self,
        member: MemberState,
        index: int,
        site: Site | None,
        round_index: int,
        result: tuple[MemberState, VisitReport] | None,
    ) -> MemberState | None:
        """Write a line of metrics for a visit or an absence; return the member after the visit."""
        line = {"round": round_index + 1, "member": member.index}
        if site is None or result is None:
            self._run.add_metrics(**line, site=self._sites[index].name, absent=True)
            return None
        after, report = result
        if report.loss is not None:
            self._losses.append(report.loss)
        self._run.add_metrics(
            **line,
            site=site.name,
            loss=report.loss,
            samples=report.samples,
            bytes=self._wire_bytes(member) + self._wire_bytes(after),
            seconds=round(report.seconds, 3),
            **record_skipped(
                report.skipped, member, site.name, round_index, self._reporter.warning
            ),
        )
        return after

    def _wire_bytes(self, member: MemberState) -> int:
        """Bytes of the tensors that would be sent."""
        tensors = member.state().items()
        return sum(tensor.nbytes for name, tensor in tensors if not self._plan.stays(name))


class _Device:
    """A device for one visit at a time.

    Parameters
    ----------
    device
        The device.
    is_shared
        Whether other visits use it at the same time; a shared GPU gets a CUDA stream of its own.
    """

    def __init__(self, device: torch.device, *, is_shared: bool) -> None:
        self.device = device
        # One stream for all visits: PyTorch caches freed memory separately for every stream.
        has_stream = is_shared and device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if has_stream else None  # type: ignore[no-untyped-call]

    def use_stream(self) -> AbstractContextManager[object]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)


def pool_sites(sites: Sequence[Site]) -> Site:
    """Return one site with the training cases of all `sites`."""
    return Site(POOLED_NAME, tuple(volume for site in sites for volume in site.train))
