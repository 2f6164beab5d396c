"""A member's optimiser, and its state as the tensors that travel with the member."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from fedcross.train.config.sections import OptimisationConfig


def make_optimizer(
    network: nn.Module, settings: OptimisationConfig, state: Mapping[str, Tensor]
) -> Optimizer:
    """The optimiser of a network's parameters, in the state in which it was left.

    Parameters
    ----------
    network
        On the device where it trains; on a GPU a step is one fused kernel.
    settings
        Which optimiser, and its constants.
    state
        What `optimizer_tensors` gave; empty at the beginning.
    """
    parameters = dict(network.named_parameters())
    fused = next(iter(parameters.values())).is_cuda
    optimizer: Optimizer
    if settings.optimizer == "adamw":
        optimizer = AdamW(
            parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
    else:
        optimizer = SGD(
            parameters.values(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
    for key, tensor in state.items():
        slot, name = key.split(".", 1)
        optimizer.state[parameters[name]][slot] = _beside(parameters[name], tensor)
    return optimizer


def optimizer_tensors(network: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as ``<slot>.<parameter>`` to tensor; empty before the first step."""
    return {
        f"{slot}.{name}": tensor
        for name, parameter in network.named_parameters()
        for slot, tensor in optimizer.state[parameter].items()
        if isinstance(tensor, Tensor)
    }


def _beside(parameter: Tensor, tensor: Tensor) -> Tensor:
    """A copy of `tensor` on the parameter's device and, if of its shape, in its memory layout."""
    copied = tensor.to(parameter.device, copy=True)
    if tensor.shape != parameter.shape:
        return copied
    return torch.empty_like(parameter, requires_grad=False).copy_(copied)
