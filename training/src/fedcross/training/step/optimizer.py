"""A member's optimiser, and its state as tensors that are stored and sent with the member."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from fedcross.runtime.plugins import explain_failure
from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.step.custom_parts import make_custom_optimizer


def make_optimizer(
    network: nn.Module, settings: OptimisationConfig, state: Mapping[str, Tensor]
) -> Optimizer:
    """Make the optimiser of a network's parameters and restore its state.

    Parameters
    ----------
    network
        The network on the device where it trains. Except on a CPU, the fused implementation is used,
        which can skip a step on the device; see `fedcross.training.step.finite_step`.
    settings
        Type and constants of the optimiser.
    state
        The state from `optimizer_tensors`; empty before the first step.

    Raises
    ------
    PluginError
        If the optimiser is code of another package that is not installed, not allowed, or does not work.
    """
    return _restore(dict(network.named_parameters()), settings, state)


def make_zero_gradient_step(
    weights: Mapping[str, Tensor], state: Mapping[str, Tensor], settings: OptimisationConfig
) -> dict[str, Tensor]:
    """Compute the step that an optimiser makes from its state alone, with a gradient of 0.

    Parameters
    ----------
    weights
        Weights of a member, on the CPU; not changed.
    state
        State of the optimiser, see `optimizer_tensors`.
    settings
        Type and constants of the optimiser; the step is at the base learning rate.

    Returns
    -------
    dict of str to Tensor
        Change of every parameter that has a state, float32; empty without state.
    """
    names = {key.split(".", 1)[1] for key in state}
    if not names:
        return {}
    parameters = {name: nn.Parameter(weights[name].clone()) for name in sorted(names)}
    optimizer = _restore(parameters, settings, state)
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    with explain_failure(f"The optimizer {settings.optimizer_plugin or settings.optimizer}"):
        optimizer.step()
    return {name: each.detach() - weights[name] for name, each in parameters.items()}


def _restore(
    parameters: Mapping[str, nn.Parameter],
    settings: OptimisationConfig,
    state: Mapping[str, Tensor],
) -> Optimizer:
    optimizer = _new_optimizer(parameters, settings, is_new=not state)
    for key, tensor in state.items():
        slot, name = key.split(".", 1)
        optimizer.state[parameters[name]][slot] = _copy_like(parameters[name], tensor)
    return optimizer


def _new_optimizer(
    parameters: Mapping[str, nn.Parameter], settings: OptimisationConfig, *, is_new: bool
) -> Optimizer:
    """An optimiser without state; `is_new` if it will not get any."""
    if settings.optimizer_plugin is not None:
        values = list(parameters.values())
        return make_custom_optimizer(settings.optimizer_plugin, values, settings.learning_rate)
    fused = is_fused(next(iter(parameters.values())).device)
    if settings.optimizer == "adamw":
        return AdamW(
            parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=fused,
        )
    optimizer = SGD(
        parameters.values(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=fused,
    )
    if fused and settings.momentum > 0 and is_new:
        # PyTorch's fused first step would leave new buffers undefined if it were skipped.
        for parameter in parameters.values():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def is_fused(device: torch.device) -> bool:
    """Return whether PyTorch's fused optimisers are used on a device."""
    return device.type != "cpu"


def optimizer_tensors(network: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state: ``<slot>.<parameter>`` to tensor; empty (or zero) before the first step.

    A slot is a name of PyTorch, for example ``momentum_buffer`` or ``exp_avg``.
    """
    return {
        f"{slot}.{name}": tensor
        for name, parameter in network.named_parameters()
        for slot, tensor in optimizer.state[parameter].items()
        if isinstance(tensor, Tensor)
    }


def _copy_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Copy `tensor` to the parameter's device; if the shapes are equal, also to its memory layout."""
    copied = tensor.to(parameter.device, copy=True)
    if tensor.shape != parameter.shape:
        return copied
    return torch.empty_like(parameter, requires_grad=False).copy_(copied)
