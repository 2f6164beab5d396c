"""3x3x3 convolutions with half of the multiplications: Winograd's algorithm F(4, 3) along z.

A direct convolution computes four neighbouring slices of the result from six slices of the input and
three slices of the kernel; each result is a sum of three products, twelve in total. Lavin and Gray
("Fast Algorithms for Convolutional Neural Networks", CVPR 2016) need only six products: each multiplies
one linear combination of the input slices with one linear combination of the kernel slices, and the four
results are linear combinations of the products. A product of two slices is a 2D convolution.

Features are stored as four phases: phase r holds the slices r, r + 4, r + 8 ... So the slices that are
combined have the same index in different tensors, and no tensor has to be cut or joined.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedcross.backends.rewrite.compose import JoinedConvolution

Phases = Sequence[Tensor]
"""Tensors (N, C, D/n, H, W) that hold the slices of (N, C, D, H, W) in turn; n is `PHASES` or 2."""

PHASES = 4

_KERNEL_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""Coefficients of the six combinations (rows) of the three kernel slices (columns)."""


class WinogradConvolution(nn.Module):
    """A 3x3x3 convolution with padding 1 whose input and output are four phases.

    Parameters
    ----------
    weight
        Kernel, (out, in, 3, 3, 3).
    bias
        Bias, (out,), or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        combinations = torch.einsum(
            "jt,octyx->jocyx",
            torch.tensor(_KERNEL_TRANSFORM, dtype=torch.float64),
            weight.detach().double(),
        ).to(weight.dtype)
        self.weights = nn.ParameterList(
            nn.Parameter(combination[:, :, None].contiguous(), requires_grad=False)
            for combination in combinations
        )
        shaped = None if bias is None else bias.detach()[None, :, None, None, None]
        self.bias = None if shaped is None else nn.Parameter(shaped, requires_grad=False)

    def forward(self, phases: Phases) -> list[Tensor]:
        """Map four tensors (N, in, D/4, H, W) to four (N, out, D/4, H, W)."""
        slices = [_shift_later(phases[-1]), *phases, _shift_earlier(phases[0])]
        results = _combine_products(
            [
                functional.conv3d(combination, weight, padding=(0, 1, 1))
                for combination, weight in zip(_combine_slices(slices), self.weights, strict=True)
            ]
        )
        return results if self.bias is None else [result + self.bias for result in results]


class WinogradJoin(nn.Module):
    """A `JoinedConvolution` of stride 2 whose inputs and output are phases.

    Tap a of the composed transposed convolution maps slice i of the lower level to slice 2 i - 1 + a. So
    a slice of the result depends on two of the four taps: one applied to an even slice of the lower
    level, one to an odd slice. Each of the two has the index of the result in its phase, or is a
    neighbour.

    Parameters
    ----------
    join
        With a composed transposed convolution of 4x4x4 and stride 2.
    """

    def __init__(self, join: JoinedConvolution) -> None:
        super().__init__()
        self.skip_convolution = WinogradConvolution(join.skip_weight, join.bias)
        taps = [join.low_weight[:, :, tap : tap + 1] for tap in range(4)]
        self.low_weights = nn.ParameterList(
            nn.Parameter(torch.cat([taps[even_tap], taps[odd_tap]]), requires_grad=False)
            for even_tap, odd_tap in ((1, 3), (2, 0), (3, 1), (0, 2))
        )
        self.append_ones = join.append_ones

    def forward(self, skip: Phases, halves: Phases) -> list[Tensor]:
        """Join a skip connection and the features of the lower level.

        Parameters
        ----------
        skip
            Four phases, each (N, skipped, D/4, H, W).
        halves
            Even and odd slices of the lower level, each (N, low, D/4, H/2, W/2).

        Returns
        -------
        list of Tensor
            Four phases, each (N, out, D/4, H, W).
        """
        even, odd = map(self.append_ones, halves)
        pairs = ((even, _shift_later(odd)), (even, odd), (even, odd), (_shift_earlier(even), odd))
        from_skip = self.skip_convolution(skip)
        return [
            functional.conv_transpose3d(
                torch.cat(pair, dim=1), weight, stride=(1, 2, 2), padding=(0, 1, 1)
            )
            + phase
            for phase, pair, weight in zip(from_skip, pairs, self.low_weights, strict=True)
        ]


def interleave(parts: Phases) -> Tensor:
    """Return (N, C, D, H, W) from n tensors (N, C, D/n, H, W) that hold its slices in turn."""
    return torch.stack(list(parts), dim=3).flatten(2, 3)


def _shift_later(x: Tensor) -> Tensor:
    """Prepend a slice of zeros and drop the last slice."""
    return functional.pad(x, (0, 0, 0, 0, 1, -1))


def _shift_earlier(x: Tensor) -> Tensor:
    """Drop the first slice and append a slice of zeros."""
    return functional.pad(x, (0, 0, 0, 0, -1, 1))


def _combine_slices(x: Sequence[Tensor]) -> list[Tensor]:
    """Return the six combinations of six input slices.

    Each combination is written as one chain of sums, which OpenVINO fuses into one kernel. They share no
    intermediate result on purpose, because OpenVINO would keep it in memory.
    """
    return [
        (x[2] * -1.25 + x[0]) * 4 + x[4],
        (x[1] + x[2]) * -4 + x[3] + x[4],
        ((x[2] * -1 + x[1]) * -4 + x[3]) * -1 + x[4],
        ((x[1] * -1 + x[3]) * -2 + x[2]) * -1 + x[4],
        ((x[3] * -1 + x[1]) * -2 + x[2]) * -1 + x[4],
        (x[3] * -1.25 + x[1]) * 4 + x[5],
    ]


def _combine_products(m: Sequence[Tensor]) -> list[Tensor]:
    """Return the four results as combinations of six products; written as in `_combine_slices`."""
    return [
        m[0] + m[1] + m[2] + m[3] + m[4],
        ((m[4] * -1 + m[3]) * -2 + m[2]) * -1 + m[1],
        (m[3] + m[4]) * 4 + m[1] + m[2],
        ((m[4] * -1 + m[3]) * -8 + m[2]) * -1 + m[1] + m[5],
    ]
