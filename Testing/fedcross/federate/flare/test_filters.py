"""A trained member passes FLARE's own filters before its site sends it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from nvflare.apis.dxo import DataKind
from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.filters.dxo_blocker import DXOBlocker
from nvflare.app_common.filters.exclude_vars import ExcludeVars
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.private.privacy_manager import Scope

from fedcross.federate.flare.filters import TRAIN_RESULT, ClippedNoise, filter_member
from fedcross.strategies.member import MemberState
from fedcross.training.config.engine import EngineConfig

UNFILTERED = EngineConfig(kind="flare")
CLIPPED = EngineConfig(kind="flare", clip_norm=1.0)
BEFORE = MemberState(0, {"w": torch.tensor([1.0, 1.0]), "b": torch.tensor([1.0])}, {})
AFTER = replace(
    BEFORE,
    weights={"w": torch.tensor([4.0, 1.5]), "b": torch.tensor([5.0])},
    optimizer={"momentum_buffer.w": torch.ones(2)},
    rounds_done=1,
)


def context(*, policy: Any = None, job: Any = None) -> FLContext:
    """FLARE's context with a filter of the hospital's privacy policy or one of the job."""
    scope = Scope()
    if policy is not None:
        scope.add_task_result_filter(policy, "out")
    runner = SimpleNamespace(task_result_filters={} if job is None else {TRAIN_RESULT: [job]})
    fl_ctx = FLContext()
    fl_ctx.set_prop(FLContextKey.SCOPE_OBJECT, scope)
    fl_ctx.set_prop(FLContextKey.RUNNER, runner)
    return fl_ctx


def weights(member: MemberState) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in member.weights.items()}


def test_without_filters_a_member_is_not_changed() -> None:
    assert filter_member(BEFORE, AFTER, UNFILTERED, context()) is AFTER
    assert filter_member(BEFORE, AFTER, UNFILTERED, FLContext()) is AFTER


def test_clipping_by_the_configuration_removes_the_optimiser_state() -> None:
    sent = filter_member(BEFORE, AFTER, EngineConfig(kind="flare", clip_norm=2.5), context())
    scale = 2.5 / (3.0**2 + 0.5**2 + 4.0**2) ** 0.5
    expected = {"w": [1 + 3.0 * scale, 1 + 0.5 * scale], "b": [1 + 4.0 * scale]}
    for name, values in expected.items():
        assert sent.weights[name].tolist() == pytest.approx(values)
        assert sent.weights[name].dtype == torch.float32
    assert (sent.optimizer, sent.rounds_done) == ({}, 1)


@pytest.mark.parametrize("where", ["policy", "job"])
def test_filters_of_the_hospital_and_of_the_job_are_applied(where: str) -> None:
    sent = filter_member(BEFORE, AFTER, UNFILTERED, context(**{where: ExcludeVars(["b"])}))
    assert weights(sent) == {"w": [4.0, 1.5], "b": [1.0]}
    assert sent.optimizer == {}


def test_flares_own_privacy_filter_works_on_an_update() -> None:
    sent = filter_member(
        BEFORE, AFTER, UNFILTERED, context(policy=PercentilePrivacy(50, gamma=2.0))
    )
    assert weights(sent) == {
        "w": [3.0, 1.0],
        "b": [3.0],
    }  # small changes are removed, large ones are cut


def test_the_configurations_norm_is_applied_after_every_other_filter() -> None:
    class Doubled(ExcludeVars):  # type: ignore[misc]
        def process_dxo(self, dxo: Any, shareable: Any, fl_ctx: Any) -> Any:
            dxo.data = {name: 2 * change for name, change in dxo.data.items()}
            return dxo

    sent = filter_member(BEFORE, AFTER, CLIPPED, context(policy=Doubled(), job=Doubled()))
    moved = [sent.weights[name] - BEFORE.weights[name] for name in BEFORE.weights]
    assert float(torch.cat(moved).norm()) == pytest.approx(1.0, rel=1e-5)


def test_a_hospital_can_forbid_to_send_updates() -> None:
    with pytest.raises(Exception, match="WEIGHT_DIFF is blocked"):
        filter_member(BEFORE, AFTER, UNFILTERED, context(policy=DXOBlocker([DataKind.WEIGHT_DIFF])))


def test_a_hospital_can_add_noise_in_its_own_policy() -> None:
    noisy = context(policy=ClippedNoise(clip_norm=1.0, noise_multiplier=0.5))
    sent, again = (filter_member(BEFORE, AFTER, UNFILTERED, noisy) for _ in range(2))
    assert not torch.equal(sent.weights["w"], again.weights["w"])


def test_filtering_does_not_change_the_members_before_and_after_the_visit() -> None:
    unchanged = weights(AFTER), weights(BEFORE)
    filter_member(BEFORE, AFTER, CLIPPED, context(policy=PercentilePrivacy(50, gamma=2.0)))
    assert (weights(AFTER), weights(BEFORE)) == unchanged
