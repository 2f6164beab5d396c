"""Checks a member that a site sends back before it is used.

Refused are: other tensors, shapes or dtypes than the member has; values that are not finite; weights
that moved by more than a bound, or would in the next step. The member's counters (rounds, epochs, last
site) are not taken from the site; the server counts itself.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fedcross.errors import FedCrossError
from fedcross.strategies.member import OPTIMIZER, WEIGHTS, MemberState, part
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.step.custom_parts import find_optimizer_slots
from fedcross.training.step.optimizer import make_zero_gradient_step

SLOTS = {
    "sgd": {"momentum_buffer": False},
    "adamw": {"step": True, "exp_avg": False, "exp_avg_sq": False},
}
"""Names of the state tensors of each optimiser, and whether each is a scalar."""
ADAM_EPSILON = 1e-8


class UpdateError(FedCrossError):
    """The member that a site sent back cannot be used."""


def check_update(
    before: MemberState, tensors: Mapping[str, Tensor], site: str, config: TrainingConfig
) -> MemberState:
    """Check the tensors that a site sent back; return the member after the visit.

    Parameters
    ----------
    before
        The member that was sent to the site.
    tensors
        The tensors sent back, see `MemberState.to_tensors`. Only weights and optimiser state are used.
    site
        Name of the site.
    config
        Configuration of the run; ``engine.max_update`` is the bound, in norms of the weights before.

    Raises
    ------
    UpdateError
        If the tensors cannot be used; names site, member and tensor.
    """
    sender = f"Site {site} sent back member {before.index}"
    weights, optimizer = part(tensors, WEIGHTS), part(tensors, OPTIMIZER)
    slots = _slots(config.training)
    _check_names(sender, before, weights, optimizer, slots)
    for name, tensor in weights.items():
        _check_tensor(sender, name, tensor, before.weights[name])
    for name, tensor in optimizer.items():
        slot, parameter = name.split(".", 1)
        like = before.weights[parameter]
        _check_tensor(sender, name, tensor, like.new_zeros(()) if slots[slot] else like)
    _check_size(sender, before, weights, optimizer, config)
    return replace(
        before,
        weights=weights,
        optimizer=optimizer,
        epochs_done=before.epochs_done + config.method.local_epochs,
        rounds_done=before.rounds_done + 1,
        last_site=site,
    )


def _check_names(
    sender: str,
    before: MemberState,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    slots: Iterable[str],
) -> None:
    allowed = {f"{slot}.{name}" for slot in slots for name in before.weights}
    unknown = sorted((weights.keys() - before.weights.keys()) | (optimizer.keys() - allowed))
    missing = sorted(
        (before.weights.keys() - weights.keys()) | (before.optimizer.keys() - optimizer.keys())
    )
    if unknown:
        raise UpdateError(f"{sender} with {unknown[0]!r}, which no member has.")
    if missing:
        raise UpdateError(f"{sender} without {missing[0]!r}.")


def _check_tensor(sender: str, name: str, tensor: Tensor, like: Tensor) -> None:
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise UpdateError(
            f"{sender} with {name} of shape {tuple(tensor.shape)} and {tensor.dtype}, which must be "
            f"{tuple(like.shape)} and {like.dtype}."
        )
    if not _is_finite(tensor):
        raise UpdateError(f"{sender} with NaN or infinite values in {name}.")
    if name.startswith("exp_avg_sq.") and bool((tensor < 0).any()):
        raise UpdateError(f"{sender} with negative squares in {name}.")


def _check_size(
    sender: str,
    before: MemberState,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    config: TrainingConfig,
) -> None:
    floating = [
        name for name, tensor in weights.items() if tensor.is_floating_point()
    ]  # without counters
    norm_before = _size(before.weights[name] for name in floating)
    for what, size in (
        ("weights moved", _size(weights[n] - before.weights[n] for n in floating)),
        ("next step would move its weights", _next_move(before, optimizer, config.training)),
    ):
        if not size <= config.engine.max_update * norm_before:  # also if it is NaN
            raise UpdateError(
                f"{sender} whose {what} by {size:.4g}, more than {config.engine.max_update:g} times "
                f"(engine.max_update) their norm {norm_before:.4g}."
            )


def _slots(settings: OptimisationConfig) -> Mapping[str, bool]:
    if settings.optimizer_plugin is not None:
        return find_optimizer_slots(settings.optimizer_plugin)
    return SLOTS[settings.optimizer]


def _next_move(
    before: MemberState, optimizer: Mapping[str, Tensor], settings: OptimisationConfig
) -> float:
    if settings.optimizer_plugin is None:
        return next_step_norm(optimizer, settings)
    steps = make_zero_gradient_step(before.weights, optimizer, settings)
    return norm(steps.values())


def next_step_norm(optimizer: Mapping[str, Tensor], settings: OptimisationConfig) -> float:
    """Norm of the step that the optimiser would make from its state alone, with a gradient of 0.

    At the base learning rate that is ``rate * |momentum|`` for sgd and ``rate * |m / (sqrt(v) +
    1e-8)|`` for adamw; 0 without state.
    """
    if settings.optimizer == "sgd":
        return settings.learning_rate * _size(optimizer.values())
    means, squares = part(optimizer, "exp_avg."), part(optimizer, "exp_avg_sq.")
    steps = (
        mean.double() / (squares[name].double().sqrt() + ADAM_EPSILON)
        for name, mean in means.items()
        if name in squares
    )
    return settings.learning_rate * norm(steps)


def _is_finite(tensor: Tensor) -> bool:
    # The norm is 30 times as fast to compute, but may overflow although every value is finite.
    return not tensor.is_floating_point() or bool(
        torch.linalg.vector_norm(tensor).isfinite() or torch.isfinite(tensor).all()
    )


def _size(tensors: Iterable[Tensor]) -> float:
    """The same as `norm` within 1 %: in the tensors' own precision, in float64 if that overflows."""
    sizes = []
    for tensor in tensors:
        size = float(torch.linalg.vector_norm(tensor))
        sizes.append(size if math.isfinite(size) else norm([tensor]))
    return math.hypot(*sizes)


def norm(tensors: Iterable[Tensor]) -> float:
    """Euclidean norm of all values of all tensors, computed in float64; 0 without tensors."""
    norms = (torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors)
    return math.hypot(*(float(each) for each in norms))
