"""What leaves a site goes through NVIDIA FLARE's filters.

FLARE applies filters to the tasks of its older interface only, so a site applies them itself, by FLARE's
own function: first those of the hospital's privacy policy (``local/privacy.json`` in its kit), then the
job's, then the noise that the configuration asks for. A job can leave out neither the first nor the
last.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.dxo_filter import DXOFilter
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FilterKey, FLContextKey, WorkspaceConstants
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.utils.task_utils import apply_filters, get_filters
from nvflare.apis.workspace import Workspace
from nvflare.private.fed.app.fl_conf import create_privacy_manager
from nvflare.private.privacy_manager import Scope

from fedcross.errors import ConfigError
from fedcross.federate.privacy.noise import changed_by, noised
from fedcross.federate.remote.site_work import TRAIN
from fedcross.strategies.member import MemberState
from fedcross.training.config.engine import EngineConfig

POLICY = WorkspaceConstants.PRIVACY_CONFIG
RESULTS = Scope.TASK_RESULT_FILTERS_NAME
LEAVING = f"{TRAIN}{FilterKey.DELIMITER}{FilterKey.OUT}"  # FLARE's key


class ClippedNoise(DXOFilter):  # type: ignore[misc]
    """What a visit changed, scaled down to a norm, with Gaussian noise on every weight.

    Parameters
    ----------
    clip_norm, noise_multiplier
        As ``engine.clip_norm`` and ``engine.noise_multiplier`` of a configuration. A hospital may ask
        for more in its privacy policy.
    """

    def __init__(self, clip_norm: float, noise_multiplier: float = 0.0) -> None:
        super().__init__([DataKind.WEIGHT_DIFF], None)
        self._clip_norm = clip_norm
        self._noise_multiplier = noise_multiplier

    def process_dxo(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> DXO:
        """The update as it may leave; see `privacy.noised`."""
        update = {name: torch.as_tensor(change) for name, change in dxo.data.items()}
        leaving = noised(update, self._clip_norm, self._noise_multiplier)
        dxo.data = {name: change.numpy() for name, change in leaving.items()}
        return dxo


def filtered(
    before: MemberState, after: MemberState, engine: EngineConfig, fl_ctx: FLContext
) -> MemberState:
    """The member as it may leave the site.

    Filters see what the visit changed as a FLARE ``WEIGHT_DIFF`` of numpy arrays; a tensor that they
    take out stays as it came. The optimiser's state, which is made of the site's gradients, does not
    leave with a filtered member.

    Parameters
    ----------
    before, after
        The visit.
    engine
        ``clip_norm`` and ``noise_multiplier``.
    fl_ctx
        FLARE's context of the job at this site.

    Returns
    -------
    MemberState
        `after` itself if nothing filters it.

    Raises
    ------
    ConfigError
        As `privacy.noised`.
    Exception
        As the hospital's own filters, for example FLARE's ``ContentBlockedException``.
    """
    filters = _of_the_job(fl_ctx)
    if engine.clip_norm is not None:
        noise = ClippedNoise(engine.clip_norm, engine.noise_multiplier)
        filters = {**filters, LEAVING: [*filters.get(LEAVING, ()), noise]}
    if not get_filters(RESULTS, fl_ctx, filters, TRAIN, FilterKey.OUT):
        return after
    update = {name: change.numpy() for name, change in changed_by(before, after).items()}
    leaving = apply_filters(
        RESULTS,
        DXO(DataKind.WEIGHT_DIFF, data=update).to_shareable(),
        fl_ctx,
        filters,
        TRAIN,
        FilterKey.OUT,
    )
    changes = from_shareable(leaving).data
    weights = {
        name: (old + torch.as_tensor(changes[name])).to(old.dtype) if name in changes else old
        for name, old in before.weights.items()
    }
    return replace(after, weights=weights, optimizer={})


def policy_filters(kit: Path) -> list[str]:
    """Names of the filters that a hospital's privacy policy puts before what leaves; none without one.

    Parameters
    ----------
    kit
        The hospital's folder.

    Raises
    ------
    ConfigError
        If the policy cannot be used: FLARE would end every job here.
    """
    try:
        manager = create_privacy_manager(Workspace(str(kit)), names_only=False)
    except Exception as error:
        raise ConfigError(f"local/{POLICY} cannot be used: {error}") from error
    if not manager.is_policy_defined():
        return []
    scope = manager.get_scope(None)
    if scope is None:
        raise ConfigError(
            f"local/{POLICY} names no default_scope, so that NVIDIA FLARE refuses every job here."
        )
    return [type(each).__name__ for each in getattr(scope, RESULTS)[FilterKey.OUT]]


def _of_the_job(fl_ctx: FLContext) -> Mapping[str, list[Filter]]:
    """Filters that the job's own configuration names, as FLARE keys them."""
    runner = fl_ctx.get_prop(FLContextKey.RUNNER)
    return {} if runner is None else runner.task_result_filters
