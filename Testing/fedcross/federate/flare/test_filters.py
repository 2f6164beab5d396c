"""A member on its way out of a site, through FLARE's own filters."""

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

from fedcross.federate.flare.filters import LEAVING, ClippedNoise, filtered
from fedcross.strategies.member import MemberState
from fedcross.training.config.engine import EngineConfig

OPEN = EngineConfig(kind="flare")
CLIPPED = EngineConfig(kind="flare", clip_norm=1.0)
BEFORE = MemberState(0, {"w": torch.tensor([1.0, 1.0]), "b": torch.tensor([1.0])}, {})
AFTER = replace(
    BEFORE,
    weights={"w": torch.tensor([4.0, 1.5]), "b": torch.tensor([5.0])},
    optimizer={"momentum_buffer.w": torch.ones(2)},
    rounds_done=1,
)


def context(*, policy: Any = None, job: Any = None) -> FLContext:
    """FLARE's, with a filter of the hospital's privacy policy and one of the job's."""
    scope = Scope()
    if policy is not None:
        scope.add_task_result_filter(policy, "out")
    runner = SimpleNamespace(task_result_filters={} if job is None else {LEAVING: [job]})
    fl_ctx = FLContext()
    fl_ctx.set_prop(FLContextKey.SCOPE_OBJECT, scope)
    fl_ctx.set_prop(FLContextKey.RUNNER, runner)
    return fl_ctx


def weights(member: MemberState) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in member.weights.items()}


def test_without_filters_a_member_leaves_as_it_is() -> None:
    assert filtered(BEFORE, AFTER, OPEN, context()) is AFTER
    assert filtered(BEFORE, AFTER, OPEN, FLContext()) is AFTER


def test_the_configuration_asks_for_a_norm_and_the_optimisers_state_stays() -> None:
    leaving = filtered(BEFORE, AFTER, EngineConfig(kind="flare", clip_norm=2.5), context())
    scale = 2.5 / (3.0**2 + 0.5**2 + 4.0**2) ** 0.5
    expected = {"w": [1 + 3.0 * scale, 1 + 0.5 * scale], "b": [1 + 4.0 * scale]}
    for name, values in expected.items():
        assert leaving.weights[name].tolist() == pytest.approx(values)
        assert leaving.weights[name].dtype == torch.float32
    assert (leaving.optimizer, leaving.rounds_done) == ({}, 1)


@pytest.mark.parametrize("where", ["policy", "job"])
def test_filters_of_the_hospital_and_of_the_job_act(where: str) -> None:
    leaving = filtered(BEFORE, AFTER, OPEN, context(**{where: ExcludeVars(["b"])}))
    assert weights(leaving) == {"w": [4.0, 1.5], "b": [1.0]}
    assert leaving.optimizer == {}


def test_flares_own_privacy_filter_understands_an_update() -> None:
    leaving = filtered(BEFORE, AFTER, OPEN, context(policy=PercentilePrivacy(50, gamma=2.0)))
    assert weights(leaving) == {"w": [3.0, 1.0], "b": [3.0]}  # small ones dropped, large ones cut


def test_the_configurations_norm_holds_after_every_other_filter() -> None:
    class Doubled(ExcludeVars):  # type: ignore[misc]
        def process_dxo(self, dxo: Any, shareable: Any, fl_ctx: Any) -> Any:
            dxo.data = {name: 2 * change for name, change in dxo.data.items()}
            return dxo

    leaving = filtered(BEFORE, AFTER, CLIPPED, context(policy=Doubled(), job=Doubled()))
    moved = [leaving.weights[name] - BEFORE.weights[name] for name in BEFORE.weights]
    assert float(torch.cat(moved).norm()) == pytest.approx(1.0, rel=1e-5)


def test_a_hospital_can_forbid_that_anything_leaves() -> None:
    with pytest.raises(Exception, match="WEIGHT_DIFF is blocked"):
        filtered(BEFORE, AFTER, OPEN, context(policy=DXOBlocker([DataKind.WEIGHT_DIFF])))


def test_a_hospital_can_ask_for_noise_in_its_own_policy() -> None:
    noisy = context(policy=ClippedNoise(clip_norm=1.0, noise_multiplier=0.5))
    leaving, again = (filtered(BEFORE, AFTER, OPEN, noisy) for _ in range(2))
    assert not torch.equal(leaving.weights["w"], again.weights["w"])


def test_the_visit_itself_is_left_as_it_was() -> None:
    kept = weights(AFTER), weights(BEFORE)
    filtered(BEFORE, AFTER, CLIPPED, context(policy=PercentilePrivacy(50, gamma=2.0)))
    assert (weights(AFTER), weights(BEFORE)) == kept
