"""Means of models: pure functions of dicts of tensors.

A tensor of whole numbers (batch normalisation counts its batches) gets the whole number nearest to the
mean; of two equally near ones the even one.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]
# What these modules hold stays at a site in FedBN. InstanceNorm is a kind of _NormBase too.
NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def weighted_mean(states: Iterable[tuple[float, State]]) -> dict[str, Tensor]:
    r"""Return the weighted mean, :math:`\sum_k n_k w_k / \sum_k n_k`.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    AISTATS 2017. It is a running mean in float64, so that only one state is in memory at a time;
    the mean of equal states is exactly that state.

    Parameters
    ----------
    states
        Pairs of a weight above 0 and a state, all with the same names and shapes.

    Returns
    -------
    dict
        Name to tensor, of the first state's dtypes; empty if there is no state.

    Raises
    ------
    ValueError
        If a weight is not above 0, or names or shapes differ.
    """
    total = 0.0
    mean: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for weight, state in states:
        if not weight > 0:
            raise ValueError(f"weights must be above 0, got {weight}.")
        total += weight
        if not mean:
            mean = {name: tensor.to(torch.float64, copy=True) for name, tensor in state.items()}
            kinds = {name: tensor.dtype for name, tensor in state.items()}
        _check_alike(mean, state)
        for name, tensor in state.items():
            mean[name] += (tensor.to(torch.float64) - mean[name]) * (weight / total)
    return {name: _as(tensor, kinds[name]) for name, tensor in mean.items()}


def interpolate(old: State, new: State, rate: float) -> dict[str, Tensor]:
    """Return ``old + rate * (new - old)``, exact at the rates 0 and 1.

    With a rate of 1 - decay this is an exponential moving average, with 1 / n the mean of n states.

    Raises
    ------
    ValueError
        If names or shapes differ.
    """
    return combine([old, new], [1 - rate, rate])


def combine(states: Sequence[State], coefficients: Sequence[float]) -> dict[str, Tensor]:
    """Return a linear combination of models, computed in float64; coefficients may be negative.

    Raises
    ------
    ValueError
        If there is no state, or names, shapes or numbers of coefficients differ.
    """
    if not states:
        raise ValueError("a combination needs at least one state.")
    for state in states[1:]:
        _check_alike(states[0], state)
    out = {}
    for name, first in states[0].items():
        total = torch.zeros_like(first, dtype=torch.float64)
        for state, coefficient in zip(states, coefficients, strict=True):
            total += state[name].to(torch.float64) * coefficient
        out[name] = _as(total, first.dtype)
    return out


def normalisation_tensors(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters and buffers of the network's normalisation layers.

    Layers are recognised by their type: batch, instance, group and layer normalisation. FedBN leaves
    them at the sites (Li et al., "FedBN: Federated Learning on Non-IID Features via Local Batch
    Normalization", ICLR 2021, for batch normalisation).

    Returns
    -------
    frozenset of str
        As in the network's ``state_dict``; empty if no such layer has any tensor.
    """
    return frozenset(
        f"{path}.{name}" if path else name
        for path, module in network.named_modules()
        if isinstance(module, NORMALISATIONS)
        for name in module.state_dict()
    )


def _check_alike(one: State, other: State) -> None:
    if one.keys() != other.keys():
        raise ValueError(f"states differ in {sorted(one.keys() ^ other.keys())}.")
    for name, tensor in one.items():
        if tensor.shape != other[name].shape:
            raise ValueError(
                f"{name} has the shapes {tuple(tensor.shape)} and {tuple(other[name].shape)}."
            )


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return (tensor if dtype.is_floating_point else tensor.round()).to(dtype)
