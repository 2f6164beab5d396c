"""Convolutions with half of the multiplications: Winograd's F(4, 3) along z.

Four neighbouring slices of the result are sums over twelve pairs, of one of six slices of the input with
one of three slices of the kernel. Lavin and Gray ("Fast Algorithms for Convolutional Neural Networks",
CVPR 2016) get by with six pairs: a mixture of the slices with a mixture of the kernel's each, and the
four results are mixtures of what these give. In the plane each pair stays a convolution.

Features are kept in four phases, phase r being the slices r, r + 4, r + 8 and so on. So the slices that
are mixed lie in different tensors, at the same place, and nothing has to be cut up or put together.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedcross.backends.rewrite.compose import ComposedUNet, JoinedConvolution

Phases = Sequence[Tensor]
"""Four tensors (N, C, D/4, H, W)."""

PHASES = 4
LEVELS = 3
"""So many levels of the reference U-Net have slices enough whatever the patch, a multiple of 16."""

_KERNEL_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


class WinogradConvolution(nn.Module):
    """A 3x3x3 convolution with padding 1, from phases to phases.

    Parameters
    ----------
    weight
        (out, in, 3, 3, 3).
    bias
        (out,), or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        mixtures = torch.einsum(
            "jt,octyx->jocyx",
            torch.tensor(_KERNEL_TRANSFORM, dtype=torch.float64),
            weight.detach().double(),
        ).to(weight.dtype)
        self.weights = nn.ParameterList(
            nn.Parameter(mixture[:, :, None].contiguous(), requires_grad=False)
            for mixture in mixtures
        )
        shaped = None if bias is None else bias.detach()[None, :, None, None, None]
        self.bias = None if shaped is None else nn.Parameter(shaped, requires_grad=False)

    def forward(self, phases: Phases) -> list[Tensor]:
        """Map four tensors (N, in, D/4, H, W) to four (N, out, D/4, H, W)."""
        mixtures = _transform_slices([_shift_later(phases[-1]), *phases, _shift_earlier(phases[0])])
        results = _transform_products(
            [
                functional.conv3d(mixture, weight, padding=(0, 1, 1))
                for mixture, weight in zip(mixtures, self.weights, strict=True)
            ]
        )
        return results if self.bias is None else [result + self.bias for result in results]


class WinogradJoin(nn.Module):
    """A join that doubles, in phases.

    Its tap a takes slice i of what comes from below to o = 2 i - 1 + a. So to every phase two of four
    taps lead, one from an even slice and one from an odd one: its own, or its neighbour's.

    Parameters
    ----------
    join
        With a transposed convolution of 4x4x4 and stride 2.
    """

    def __init__(self, join: JoinedConvolution) -> None:
        super().__init__()
        self.skip_weight = WinogradConvolution(join.skip_weight, join.bias)
        taps = [join.low_weight[:, :, tap : tap + 1] for tap in range(4)]
        self.low_weight = nn.ParameterList(
            nn.Parameter(torch.cat([taps[of_even], taps[of_odd]]), requires_grad=False)
            for of_even, of_odd in ((1, 3), (2, 0), (3, 1), (0, 2))
        )
        self.append_ones = join.append_ones

    def forward(self, skip: Phases, halves: Phases) -> list[Tensor]:
        """Map four (N, skipped, D/4, H, W) and two (N, low, D/4, H/2, W/2) to four (N, out, D/4, H, W).

        The two are the even and the odd slices of what comes from below.
        """
        even, odd = map(self.append_ones, halves)
        pairs = ((even, _shift_later(odd)), (even, odd), (even, odd), (_shift_earlier(even), odd))
        return [
            functional.conv_transpose3d(
                torch.cat(pair, dim=1), weight, stride=(1, 2, 2), padding=(0, 1, 1)
            )
            + skip_weight
            for skip_weight, pair, weight in zip(
                self.skip_weight(skip), pairs, self.low_weight, strict=True
            )
        ]


class _FirstConvolution(nn.Module):
    """An ordinary convolution with padding 1 and a bias, its result in phases."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, bias = conv.weight, cast(Tensor, conv.bias)
        # One for each: OpenVINO adds one that is shared afterwards, and not while it convolves.
        self.biases = nn.ParameterList(
            nn.Parameter(bias.detach().clone(), False) for _ in range(PHASES)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (N, 1, D, H, W) to four tensors (N, out, D/4, H, W)."""
        padded = functional.pad(x, (0, 0, 0, 0, 1, 1))
        return [
            functional.conv3d(
                padded[:, :, phase:], self.weight, bias, stride=(PHASES, 1, 1), padding=(0, 1, 1)
            )
            for phase, bias in enumerate(self.biases)
        ]


class WinogradUNet(nn.Module):
    """The reference U-Net, its upper levels in phases; see `fedcross.model.networks.UNet`.

    Parameters
    ----------
    network
        With its upsampling composed. Its modules are used, for inference only: the layers between
        convolutions work in place.
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
        """Map (N, 1, D, H, W) to logits (N, classes, D, H, W)."""
        parts, skips = self.first(x), []
        for level, block in enumerate(self.down):
            phases = parts if level == 0 else _split_into_phases(parts)
            skips.append(_apply_layers(block, phases))
            pooled = [self.pool(phase) for phase in skips[-1]]
            parts = [torch.maximum(*pooled[:2]), torch.maximum(*pooled[2:])]  # even slices, and odd
        x = self.lower(interleave(parts))
        parts = [x[:, :, start::2] for start in range(2)]
        for join, block in zip(self.joins, self.up, strict=True):
            halves = [interleave(parts[start::2]) for start in range(2)]
            parts = _apply_layers(block, join(skips.pop(), halves))
        return interleave([self.outconv(part) for part in parts])


def _split_into_phases(halves: Phases) -> list[Tensor]:
    """Return the four phases of what lies in even and odd slices."""
    return [half[:, :, start::2] for start in range(2) for half in halves]


def interleave(parts: Phases) -> Tensor:
    """Return (N, C, D, H, W) from tensors among which its slices are dealt out in turn."""
    return torch.stack(list(parts), dim=3).flatten(2, 3)


def _shift_later(x: Tensor) -> Tensor:
    """Put zeros before the first slice, and leave out the last one."""
    return functional.pad(x, (0, 0, 0, 0, 1, -1))


def _shift_earlier(x: Tensor) -> Tensor:
    """Leave out the first slice, and put zeros after the last one."""
    return functional.pad(x, (0, 0, 0, 0, -1, 1))


def _convert_layers(block: nn.Module) -> nn.ModuleList:
    """Return the layers of a sequence, convolutions as Winograd's."""
    return nn.ModuleList(
        WinogradConvolution(layer.weight, layer.bias) if isinstance(layer, nn.Conv3d) else layer
        for layer in cast(nn.Sequential, block)
    )


def _apply_layers(layers: nn.Module, phases: Phases) -> list[Tensor]:
    """Send phases through layers, which are as `_convert_layers` returns them."""
    for layer in cast(nn.ModuleList, layers):
        if isinstance(layer, WinogradConvolution):
            phases = layer(phases)
        elif isinstance(layer, nn.InstanceNorm3d | nn.GroupNorm):
            # Its statistics are of all slices, and do not depend on their order.
            phases = layer(torch.cat(list(phases), dim=2)).chunk(PHASES, dim=2)
        else:
            phases = [layer(phase) for phase in phases]
    return list(phases)


def _transform_slices(x: Sequence[Tensor]) -> list[Tensor]:
    """Return the six mixtures of six slices.

    As written each is one chain of sums, which OpenVINO computes in one go, and no two have a part in
    common: what is shared it would keep in memory.
    """
    return [
        (x[2] * -1.25 + x[0]) * 4 + x[4],
        (x[1] + x[2]) * -4 + x[3] + x[4],
        ((x[2] * -1 + x[1]) * -4 + x[3]) * -1 + x[4],
        ((x[1] * -1 + x[3]) * -2 + x[2]) * -1 + x[4],
        ((x[3] * -1 + x[1]) * -2 + x[2]) * -1 + x[4],
        (x[3] * -1.25 + x[1]) * 4 + x[5],
    ]


def _transform_products(m: Sequence[Tensor]) -> list[Tensor]:
    """Return the four results, mixtures of six products; as `_transform_slices`."""
    return [
        m[0] + m[1] + m[2] + m[3] + m[4],
        ((m[4] * -1 + m[3]) * -2 + m[2]) * -1 + m[1],
        (m[3] + m[4]) * 4 + m[1] + m[2],
        ((m[4] * -1 + m[3]) * -8 + m[2]) * -1 + m[1] + m[5],
    ]
