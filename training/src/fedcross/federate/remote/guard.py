"""A member that comes back from a site is looked at before it goes on to the next.

What is refused: other tensors, shapes or dtypes than a member has, numbers that are not finite, and
weights that moved, or would move in the next step, by more than a bound. What a member counts (rounds,
epochs, where it was) is not believed but counted here.
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

SLOTS = {"sgd": ("momentum_buffer",), "adamw": ("step", "exp_avg", "exp_avg_sq")}
ADAM_EPSILON = 1e-8


class UpdateError(FedCrossError):
    """What a site sent back is no member, or not one that may go on."""


def accepted(
    before: MemberState, tensors: Mapping[str, Tensor], site: str, config: TrainingConfig
) -> MemberState:
    """The member after a visit, if what the site sent can be one.

    Parameters
    ----------
    before
        The member as it went to the site.
    tensors
        What came back, in the form of `MemberState.to_tensors`; others than weights and optimiser
        state are not looked at.
    site
        Its name.
    config
        Of the run; ``engine.max_update`` is the bound.

    Raises
    ------
    UpdateError
        One sentence that names site, member and tensor.
    """
    who = f"Site {site} sent back member {before.index}"
    weights, optimizer = part(tensors, WEIGHTS), part(tensors, OPTIMIZER)
    _check_names(who, before, weights, optimizer, config.training)
    for name, tensor in weights.items():
        _check_tensor(who, name, tensor, before.weights[name])
    for name, tensor in optimizer.items():
        like = before.weights[name.split(".", 1)[1]]
        _check_tensor(who, name, tensor, like.new_zeros(()) if name.startswith("step.") else like)
    _check_size(who, before, weights, optimizer, config)
    return replace(
        before,
        weights=weights,
        optimizer=optimizer,
        epochs_done=before.epochs_done + config.method.local_epochs,
        rounds_done=before.rounds_done + 1,
        last_site=site,
    )


def _check_names(
    who: str,
    before: MemberState,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    settings: OptimisationConfig,
) -> None:
    possible = {f"{slot}.{name}" for slot in SLOTS[settings.optimizer] for name in before.weights}
    foreign = sorted((weights.keys() - before.weights.keys()) | (optimizer.keys() - possible))
    lacking = sorted(
        (before.weights.keys() - weights.keys()) | (before.optimizer.keys() - optimizer.keys())
    )
    if foreign:
        raise UpdateError(f"{who} with {foreign[0]!r}, which no member has.")
    if lacking:
        raise UpdateError(f"{who} without {lacking[0]!r}.")


def _check_tensor(who: str, name: str, tensor: Tensor, like: Tensor) -> None:
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise UpdateError(
            f"{who} with {name} of shape {tuple(tensor.shape)} and {tensor.dtype}, which must be "
            f"{tuple(like.shape)} and {like.dtype}."
        )
    if not _is_finite(tensor):
        raise UpdateError(f"{who} with NaN or infinite numbers in {name}.")
    if name.startswith("exp_avg_sq.") and bool((tensor < 0).any()):
        raise UpdateError(f"{who} with squares below 0 in {name}.")


def _check_size(
    who: str,
    before: MemberState,
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    config: TrainingConfig,
) -> None:
    real = [name for name, tensor in weights.items() if tensor.is_floating_point()]  # no counters
    own = _size(before.weights[name] for name in real)
    for what, size in (
        ("weights moved", _size(weights[n] - before.weights[n] for n in real)),
        ("next step would move its weights", next_step(optimizer, config.training)),
    ):
        if size > config.engine.max_update * own:
            raise UpdateError(
                f"{who} whose {what} by {size:.4g}, more than {config.engine.max_update:g} times "
                f"(engine.max_update) their norm {own:.4g}."
            )


def next_step(optimizer: Mapping[str, Tensor], settings: OptimisationConfig) -> float:
    """Norm of the step that the optimiser's state alone would make, at the base learning rate.

    That is rate * |momentum| for sgd and rate * |m / (sqrt(v) + 1e-8)| for adamw; 0 without state.
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
    # The norm is 30 times as fast to compute; it may overflow where every number is finite.
    return not tensor.is_floating_point() or bool(
        torch.linalg.vector_norm(tensor).isfinite() or torch.isfinite(tensor).all()
    )


def _size(tensors: Iterable[Tensor]) -> float:
    """What `norm` returns, within a hundredth: in the tensors' own precision unless that overflows."""
    sizes = []
    for tensor in tensors:
        size = float(torch.linalg.vector_norm(tensor))
        sizes.append(size if math.isfinite(size) else norm([tensor]))
    return math.hypot(*sizes)


def norm(tensors: Iterable[Tensor]) -> float:
    """Euclidean norm of all numbers together, in float64; 0 without tensors."""
    norms = (torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors)
    return math.hypot(*(float(each) for each in norms))
