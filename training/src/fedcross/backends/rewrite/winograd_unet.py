"""The reference U-Net with Winograd convolutions in its upper levels."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedcross.backends.rewrite.compose import ComposedUNet, JoinedConvolution
from fedcross.backends.rewrite.winograd import (
    PHASES,
    Phases,
    WinogradConvolution,
    WinogradJoin,
    interleave,
)

LEVELS = 3
"""Number of upper levels of the reference U-Net in phases. Because a patch's sides are multiples of 16,
each of these levels has a multiple of 4 slices."""


class _FirstConvolution(nn.Module):
    """A direct 3x3x3 convolution with padding 1 and a bias, whose output is four phases."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, bias = conv.weight, cast(Tensor, conv.bias)
        # One copy for each phase: OpenVINO fuses the bias into a convolution only if it is not shared.
        self.biases = nn.ParameterList(
            nn.Parameter(bias.detach().clone(), False) for _ in range(PHASES)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, in, D, H, W) to four tensors (N, out, D/4, H, W)."""
        padded = functional.pad(x, (0, 0, 0, 0, 1, 1))
        return [
            functional.conv3d(
                padded[:, :, phase:], self.weight, bias, stride=(PHASES, 1, 1), padding=(0, 1, 1)
            )
            for phase, bias in enumerate(self.biases)
        ]


class WinogradUNet(nn.Module):
    """The reference U-Net with its upper levels in phases; see `fedcross.model.networks.UNet`.

    It is for inference only, because the layers between the convolutions work in place.

    Parameters
    ----------
    network
        U-Net with composed upsampling. Its modules are reused.
    """

    def __init__(self, network: ComposedUNet) -> None:
        super().__init__()
        levels = network.levels
        blocks = [cast(Any, encoder).conv.conv for encoder in levels.encoders[:LEVELS]]
        self.first = _FirstConvolution(blocks[0][0])
        self.down = nn.ModuleList(_convert_layers(block) for block in [blocks[0][1:], *blocks[1:]])
        self.pool = nn.MaxPool3d((1, 2, 2))
        self.lower = levels.without_upper(LEVELS)
        self.joins = nn.ModuleList(
            WinogradJoin(cast(JoinedConvolution, join)) for join in levels.joins[-LEVELS:]
        )
        self.up = nn.ModuleList(_convert_layers(rest) for rest in levels.rests[-LEVELS:])
        self.outconv = network.outconv

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to logits (N, classes, D, H, W)."""
        parts, skips = self.first(x), []
        for level, block in enumerate(self.down):
            phases = parts if level == 0 else _split_into_phases(parts)
            skips.append(_apply_layers(block, phases))
            pooled = [self.pool(phase) for phase in skips[-1]]
            parts = [torch.maximum(*pooled[:2]), torch.maximum(*pooled[2:])]  # even, odd slices
        x = self.lower(interleave(parts))
        parts = [x[:, :, start::2] for start in range(2)]
        for join, block in zip(self.joins, self.up, strict=True):
            halves = [interleave(parts[start::2]) for start in range(2)]
            parts = _apply_layers(block, join(skips.pop(), halves))
        return interleave([self.outconv(part) for part in parts])


def _split_into_phases(halves: Phases) -> list[Tensor]:
    """Return the four phases of features that are given as even and odd slices."""
    return [half[:, :, start::2] for start in range(2) for half in halves]


def _convert_layers(block: nn.Module) -> nn.ModuleList:
    """Return the layers of a sequence, with convolutions replaced by Winograd convolutions."""
    return nn.ModuleList(
        WinogradConvolution(layer.weight, layer.bias) if isinstance(layer, nn.Conv3d) else layer
        for layer in cast(nn.Sequential, block)
    )


def _apply_layers(layers: nn.Module, phases: Phases) -> list[Tensor]:
    """Apply layers that `_convert_layers` returned to four phases."""
    for layer in cast(nn.ModuleList, layers):
        if isinstance(layer, WinogradConvolution):
            phases = layer(phases)
        elif isinstance(layer, nn.InstanceNorm3d | nn.GroupNorm):
            # The statistics are taken over all slices; the order of the slices does not matter.
            phases = layer(torch.cat(list(phases), dim=2)).chunk(PHASES, dim=2)
        else:
            phases = [layer(phase) for phase in phases]
    return list(phases)
