"""Visits on several devices at the same time."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fedcross.federate.local import visits as visits_module
from fedcross.federate.local.engine import FederationData
from fedcross.federate.local.visits import LocalVisits
from fedcross.runtime.reporting import NullReporter
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import make_plan
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from small_federation import first_members

CPU = torch.device("cpu")


class Counts(NullReporter):
    """Keeps the calls of `progress`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def progress(self, done: int, total: int, stage: str) -> None:
        self.calls.append((done, total))


def one_round(
    config: TrainingConfig, data: FederationData, folder: Path, devices: int
) -> tuple[list[MemberState | None], list[dict[str, object]], Counts]:
    counts, run = Counts(), RunFolder(folder)
    folder.mkdir()
    plan = make_plan(
        config.method, config.network, [len(site.train) for site in data.sites], config.seed
    )
    visits = LocalVisits(config, plan, data.sites, [CPU] * devices, run, counts)
    after = list(visits(first_members(config), [1, 0], 0))
    lines = [{k: v for k, v in line.items() if k != "seconds"} for line in run.metrics()]
    return after, lines, counts


def test_members_on_several_devices_end_as_one_after_another(
    small: TrainingConfig, small_data: FederationData, tmp_path: Path
) -> None:
    alone, metrics, progress = one_round(small, small_data, tmp_path / "one", devices=1)
    together, metrics_together, progress_together = one_round(
        small, small_data, tmp_path / "two", devices=2
    )
    for one, other in zip(alone, together, strict=True):
        assert one is not None
        assert other is not None
        state, twin = one.state(), other.state()
        assert state.keys() == twin.keys()
        assert all(torch.equal(state[name], twin[name]) for name in state)
    assert metrics == metrics_together
    assert progress.calls == progress_together.calls == [(1, 6), (2, 6)]


def test_visits_on_two_devices_run_at_the_same_time(
    small: TrainingConfig,
    small_data: FederationData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both, original = threading.Barrier(2, timeout=30), visits_module.visit

    def meets(*given: object) -> object:
        both.wait()  # broken, unless the other visit is under way
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(visits_module, "visit", meets)
    after, _, _ = one_round(small, small_data, tmp_path / "run", devices=2)
    assert all(after)


def test_a_device_is_free_again_after_a_visit_that_failed(
    small: TrainingConfig,
    small_data: FederationData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = visits_module.visit
    failing = iter([True, False, False])

    def fails_once(*given: object) -> object:
        if next(failing):
            raise ValueError("once")
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(visits_module, "visit", fails_once)
    plan = make_plan(small.method, small.network, [2, 1], small.seed)
    visits = LocalVisits(small, plan, small_data.sites, [CPU], RunFolder(tmp_path), NullReporter())
    with pytest.raises(ValueError, match="once"):
        list(visits(first_members(small), [0, 1], 0))
    assert len(list(visits(first_members(small), [0, 1], 0))) == 2


def test_skipped_steps_are_in_the_metrics_and_in_a_warning(
    small: TrainingConfig, small_data: FederationData, tmp_path: Path
) -> None:
    class Logs(NullReporter):
        def __init__(self) -> None:
            self.messages: list[str] = []

        def warning(self, message: str) -> None:
            self.messages.append(message)

    whole = small_data.sites[0].train[0]
    broken = replace(whole, image=torch.full_like(whole.image, torch.nan))
    sites = [replace(small_data.sites[0], train=(whole, broken)), small_data.sites[1]]
    settings = small.training.model_copy(update={"batch_size": 1})
    config = small.model_copy(update={"training": settings})
    logs, run = Logs(), RunFolder(tmp_path)
    plan = make_plan(config.method, config.network, [2, 1], config.seed)
    list(LocalVisits(config, plan, sites, [CPU], run, logs)(first_members(config), [0, 1], 2))
    assert [line.get("skipped") for line in run.metrics()] == [2, None]
    assert logs.messages == [
        "Round 3: 2 steps of member 0 at s0 skipped, because the loss or its gradient was not finite."
    ]
