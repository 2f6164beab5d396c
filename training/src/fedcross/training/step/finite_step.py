"""Optimiser steps that are skipped if the loss or its gradient is not finite."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def limit_gradient(network: nn.Module, largest: float | None) -> Tensor:
    """Scale the gradient of all parameters down to a norm if it is longer; return its norm before.

    Parameters
    ----------
    network
        Network whose parameters have the gradient.
    largest
        Largest Euclidean norm; None for no limit.

    Returns
    -------
    Tensor
        Norm before the scaling, a scalar on the device. It is NaN or infinite if a value of the gradient
        is, and infinite if it exceeds float32's range.
    """
    if largest is not None:
        return nn.utils.clip_grad_norm_(network.parameters(), largest)
    return nn.utils.get_total_norm(p.grad for p in network.parameters() if p.grad is not None)


class FiniteStep:
    """One training step of a network, which changes nothing if a number in it is not finite.

    Parameters
    ----------
    network
        Network before the forward pass of the step. Copies of its buffers (running statistics of
        batch normalisation) are kept, because a forward pass changes them.
    optimizer
        Optimiser of its parameters; see `make_optimizer`.
    """

    def __init__(self, network: nn.Module, optimizer: Optimizer) -> None:
        self._buffers = list(network.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]
        self._optimizer = optimizer

    def finish(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Let the optimiser make its step, or restore the network if loss or gradient is not finite.

        The host does not wait for a GPU, unless the optimiser is not one of PyTorch's fused ones.

        Parameters
        ----------
        loss
            Loss of the batch, a scalar.
        norm
            Norm of the gradient, a scalar; see `limit_gradient`.

        Returns
        -------
        Tensor
            Whether the step was made, a boolean scalar on the device.
        """
        is_finite = torch.isfinite(loss) & torch.isfinite(norm)
        is_fused = all(group.get("fused") for group in self._optimizer.param_groups)
        if is_finite.device.type == "cpu" or not is_fused:
            if is_finite:
                self._optimizer.step()
        else:
            step_on_device(self._optimizer, is_finite)
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(torch.where(is_finite, buffer, before))
        return is_finite


def step_on_device(optimizer: Optimizer, is_finite: Tensor) -> None:
    """Let a fused optimiser decide on its device whether it makes a step.

    PyTorch's fused optimisers read their attribute ``found_inf``; if it is 1, weights and state stay.
    """
    optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]
    optimizer.step()


@dataclass
class EpochSums:
    """What an epoch adds up on the device; every value is a scalar tensor.

    Attributes
    ----------
    loss
        Sum of the loss over the patches of the steps that were made.
    patches
        Number of these patches.
    skipped
        Number of steps that were skipped.
    skipped_loss
        Sum of the loss over the patches of the skipped steps.
    """

    loss: Tensor
    patches: Tensor
    skipped: Tensor
    skipped_loss: Tensor

    @classmethod
    def zero(cls, device: torch.device) -> "EpochSums":
        """Return the sums before the first step."""
        return cls(*(torch.zeros((), device=device) for _ in range(4)))

    def add(self, loss: Tensor, patches: int, is_finite: Tensor) -> None:
        """Add one step: its mean loss, its number of patches, and whether it was made."""
        self.loss += torch.where(is_finite, loss, 0.0) * patches
        self.patches += is_finite * patches
        self.skipped += ~is_finite
        self.skipped_loss += torch.where(is_finite, 0.0, loss) * patches

    def fetch(self) -> tuple[float, int, int, float]:
        """Wait for the device; return `loss`, `patches`, `skipped` and `skipped_loss` as numbers."""
        sums = torch.stack([self.loss, self.patches, self.skipped, self.skipped_loss])
        loss, patches, skipped, skipped_loss = sums.tolist()
        return loss, int(patches), int(skipped), skipped_loss
