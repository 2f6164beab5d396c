"""NVIDIA FLARE's filters, applied to a trained member before the site sends it.

FLARE does not filter calls of its Collab API, so the site applies the filters itself, with FLARE's own
function: first those of the hospital's privacy policy (``local/privacy.json`` in its kit), then the
job's, then clipping and noise as the configuration sets them. A job can disable neither the first nor
the last.
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
from fedcross.federate.privacy.noise import clip_and_add_noise, compute_update
from fedcross.federate.remote.site_work import TRAIN
from fedcross.strategies.member import MemberState
from fedcross.training.config.engine import EngineConfig

POLICY = WorkspaceConstants.PRIVACY_CONFIG
RESULTS = Scope.TASK_RESULT_FILTERS_NAME
TRAIN_RESULT = f"{TRAIN}{FilterKey.DELIMITER}{FilterKey.OUT}"  # FLARE's key


class ClippedNoise(DXOFilter):  # type: ignore[misc]
    """A FLARE filter that clips the update of a visit to a norm and adds Gaussian noise.

    A hospital may name it in its privacy policy. The configuration's own clipping and noise
    (``engine.clip_norm``, ``engine.noise_multiplier``) are then applied in addition.

    Parameters
    ----------
    clip_norm, noise_multiplier
        See `privacy.noise.clip_and_add_noise`.
    """

    def __init__(self, clip_norm: float, noise_multiplier: float = 0.0) -> None:
        super().__init__([DataKind.WEIGHT_DIFF], None)
        self._clip_norm = clip_norm
        self._noise_multiplier = noise_multiplier

    def process_dxo(self, dxo: DXO, shareable: Shareable, fl_ctx: FLContext) -> DXO:
        """Replace the update in `dxo` (arrays by the weights' names); see `clip_and_add_noise`."""
        update = {name: torch.as_tensor(change) for name, change in dxo.data.items()}
        noisy = clip_and_add_noise(update, self._clip_norm, self._noise_multiplier)
        dxo.data = {name: change.numpy() for name, change in noisy.items()}
        return dxo


def filter_member(
    before: MemberState, after: MemberState, engine: EngineConfig, fl_ctx: FLContext
) -> MemberState:
    """Apply all filters to the update of a visit; return the member to send.

    Filters receive the update, weights after less weights before, as a FLARE ``WEIGHT_DIFF`` of numpy
    arrays. A tensor that a filter removes keeps its value from before the visit. A filtered member has
    no optimiser state, because that is made of the site's gradients.

    Parameters
    ----------
    before, after
        The member before and after the visit; neither is changed.
    engine
        Has ``clip_norm`` (None for no clipping and noise) and ``noise_multiplier``.
    fl_ctx
        FLARE's context of the job at this site.

    Returns
    -------
    MemberState
        `after` itself if there is no filter.

    Raises
    ------
    ConfigError
        If the network has batch normalisation and noise is added, see `clip_and_add_noise`.
    Exception
        Whatever the hospital's own filters raise, for example FLARE's ``ContentBlockedException``.
    """
    filters = _job_filters(fl_ctx)
    if engine.clip_norm is not None:
        noise = ClippedNoise(engine.clip_norm, engine.noise_multiplier)
        filters = {**filters, TRAIN_RESULT: [*filters.get(TRAIN_RESULT, ()), noise]}
    if not get_filters(RESULTS, fl_ctx, filters, TRAIN, FilterKey.OUT):
        return after
    update = {name: change.numpy() for name, change in compute_update(before, after).items()}
    filtered = apply_filters(
        RESULTS,
        DXO(DataKind.WEIGHT_DIFF, data=update).to_shareable(),
        fl_ctx,
        filters,
        TRAIN,
        FilterKey.OUT,
    )
    changes = from_shareable(filtered).data
    weights = {
        name: (old + torch.as_tensor(changes[name])).to(old.dtype) if name in changes else old
        for name, old in before.weights.items()
    }
    return replace(after, weights=weights, optimizer={})


def policy_filters(kit: Path) -> list[str]:
    """Class names of the filters in a hospital's privacy policy; empty without a policy.

    Parameters
    ----------
    kit
        Folder of the hospital's startup kit.

    Raises
    ------
    ConfigError
        If FLARE cannot use the policy; it would end every job at this site.
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
            f"local/{POLICY} has no default_scope; NVIDIA FLARE then refuses every job at this site."
        )
    return [type(each).__name__ for each in getattr(scope, RESULTS)[FilterKey.OUT]]


def _job_filters(fl_ctx: FLContext) -> Mapping[str, list[Filter]]:
    """Filters from the job's own configuration, by FLARE's keys."""
    runner = fl_ctx.get_prop(FLContextKey.RUNNER)
    return {} if runner is None else runner.task_result_filters
