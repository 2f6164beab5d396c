"""Compose a transposed convolution with the convolution after it, which saves operations.

In a U-Net the features of the lower level (`low`) are upsampled by a transposed convolution (`up`),
concatenated with the skip connection (`skip`), and convolved (`conv`). All three steps are linear. So
`conv` can be split by its input channels, and the part for `up(low)` can be multiplied out with `up`:

    conv([skip, up(low)]) = conv_skip(skip) + conv_low(low)

Here `conv_skip` is a convolution and `conv_low` a transposed convolution. For a kernel of 3x3x3 and a
stride of 2, `conv_low` has a kernel of 4x4x4, of which 8 taps contribute to a voxel instead of 27.
Neither the upsampled nor the concatenated features are ever in memory.
"""

from itertools import product
from math import ceil, prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedcross.model.networks import UNet


def compose_upsampling(network: nn.Module) -> nn.Module:
    """Compose transposed convolutions with the convolutions after them, if this saves multiplications.

    Parameters
    ----------
    network
        Network in evaluation mode. Fold batch normalisation first
        (`fedcross.backends.rewrite.fold.fold_normalisation`). Its modules are reused and may be changed.

    Returns
    -------
    torch.nn.Module
        A network with the same outputs except for rounding. Only the reference U-Net and DynUNet have
        such pairs; another network is returned unchanged.
    """
    if isinstance(network, UNet):
        return ComposedUNet(network)
    # Imported here, because the import takes seconds and the reference U-Net does not need it.
    from monai.networks.blocks.dynunet_block import UnetUpBlock

    composed = {
        block: _ComposedBlock(block)
        for block in network.modules()
        if isinstance(block, UnetUpBlock) and _saves_operations(*_pair(block))
    }
    for parent in list(network.modules()):  # MONAI registers each block in two places
        for name, child in list(parent.named_children()):
            if child in composed:
                setattr(parent, name, composed[child])
    return network


class JoinedConvolution(nn.Module):
    """Computes ``conv(cat([skip, up(low)]))`` with the transposed convolution composed.

    Consider an axis with stride s and padding p. Tap a of ``up`` maps voxel i to h = s i + a. Tap t of
    ``conv`` maps h to o = h - t + p. So a pair of taps equals tap a - t + 2 p of one transposed
    convolution with stride s and padding p; its weight is the product of both weights, summed over the
    channels between ``up`` and ``conv``.

    The bias of ``up`` is added inside the volume only, because ``conv`` pads with zeros. Therefore it
    becomes the weights of an additional channel of ``low`` that is 1 everywhere.

    Parameters
    ----------
    up
        Transposed convolution whose kernel is as large as its stride.
    conv
        Convolution with kernel 2 p + 1, padding p and stride 1.
    skip_first
        Whether the channels of the skip connection come before those of ``up``.

    Attributes
    ----------
    skip_weight : torch.nn.Parameter
        Weights for the skip connection, (out, skipped, *kernel).
    bias : torch.nn.Parameter or None
        Bias of ``conv``, (out,).
    low_weight : torch.nn.Parameter
        Weights of the composed transposed convolution, (low, out, *kernel); low + 1 instead of low if
        ``up`` has a bias.
    """

    def __init__(self, up: nn.ConvTranspose3d, conv: nn.Conv3d, *, skip_first: bool) -> None:
        super().__init__()
        weight, between = conv.weight.detach(), up.out_channels
        if skip_first:
            skip_weight, up_weight = weight[:, :-between], weight[:, -between:]
        else:
            skip_weight, up_weight = weight[:, between:], weight[:, :between]
        self._stride, self._padding = list(up.stride), [int(side) for side in conv.padding]
        self.skip_weight = nn.Parameter(skip_weight.contiguous(), requires_grad=False)
        self.bias = conv.bias
        self.low_weight = nn.Parameter(_compose_weights(up, up_weight), requires_grad=False)
        self._has_ones = up.bias is not None

    def append_ones(self, low: Tensor) -> Tensor:
        """Append the channel of ones to (N, low, ...) if ``up`` has a bias."""
        return torch.cat([low, torch.ones_like(low[:, :1])], dim=1) if self._has_ones else low

    def upsample(self, low: Tensor) -> Tensor:
        """Map (N, low, D/s, H/s, W/s) to its contribution to the result, (N, out, D, H, W)."""
        return functional.conv_transpose3d(
            self.append_ones(low), self.low_weight, stride=self._stride, padding=self._padding
        )

    def forward(self, skip: Tensor, low: Tensor) -> Tensor:
        """Map (N, skipped, D, H, W) and (N, low, D/s, H/s, W/s) to (N, out, D, H, W)."""
        from_skip = functional.conv3d(skip, self.skip_weight, self.bias, padding=self._padding)
        return from_skip + self.upsample(low)


class ComposedLevels(nn.Module):
    """The levels of the reference U-Net below some level, with composed upsampling.

    Parameters
    ----------
    encoders
        Encoder of each level, from the top.
    bottom
        Convolutions of the lowest level.
    joins
        For each level, from the bottom: joins the skip connection with the features of the level below.
    rests
        For each level, from the bottom: the layers that follow its join.
    """

    def __init__(
        self,
        encoders: nn.ModuleList,
        bottom: nn.Module,
        joins: nn.ModuleList,
        rests: nn.ModuleList,
    ) -> None:
        super().__init__()
        self.encoders, self.bottom, self.joins, self.rests = encoders, bottom, joins, rests

    def without_upper(self, level: int) -> "ComposedLevels":
        """Return the levels without the upper `level` ones; at least one level must remain."""
        count = len(self.encoders) - level
        return ComposedLevels(
            self.encoders[level:], self.bottom, self.joins[:count], self.rests[:count]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, D, H, W), the input of the first encoder, to features (N, out, D, H, W)."""
        skips = []
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.bottom(x)
        for join, rest in zip(self.joins, self.rests, strict=True):
            x = rest(join(skips.pop(), x))
        return x


class ComposedUNet(nn.Module):
    """The reference U-Net with composed upsampling; see `fedcross.model.networks.UNet`."""

    def __init__(self, network: UNet) -> None:
        super().__init__()
        decoders = (network.dec1, network.dec2, network.dec3, network.dec4)
        above = (*(decoder.conv for decoder in decoders[1:]), network.lastconv)
        blocks = [double.conv for double in above]
        joins = nn.ModuleList(
            JoinedConvolution(below.up, cast(nn.Conv3d, block[0]), skip_first=True)
            for below, block in zip(decoders, blocks, strict=True)
        )
        self.levels = ComposedLevels(
            nn.ModuleList([network.enc1, network.enc2, network.enc3, network.enc4]),
            network.dec1.conv.conv,
            joins,
            nn.ModuleList(block[1:] for block in blocks),
        )
        self.outconv = network.outconv

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to logits (N, classes, D, H, W)."""
        return cast(Tensor, self.outconv(self.levels(x)))


class _ComposedBlock(nn.Module):
    """MONAI's ``UnetUpBlock`` with composed upsampling."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.join = JoinedConvolution(*_pair(block), skip_first=False)
        rest = block.conv_block
        self.rest = nn.Sequential(rest.norm1, rest.lrelu, rest.conv2, rest.norm2, rest.lrelu)

    def forward(self, low: Tensor, skip: Tensor) -> Tensor:
        return cast(Tensor, self.rest(self.join(skip, low)))


def _pair(block: Any) -> tuple[nn.ConvTranspose3d, nn.Conv3d]:
    return block.transp_conv.conv, block.conv_block.conv1.conv


def _saves_operations(up: nn.ConvTranspose3d, conv: nn.Conv3d) -> bool:
    """Whether the composed pair needs fewer multiplications for a voxel of the result."""
    separate = (
        up.in_channels * up.out_channels
        + prod(conv.kernel_size) * up.out_channels * conv.out_channels
    )
    taps = [
        ceil((k + n - 1) / s)
        for k, n, s in zip(up.kernel_size, conv.kernel_size, up.stride, strict=True)
    ]
    return prod(taps) * up.in_channels * conv.out_channels < separate


def _compose_weights(up: nn.ConvTranspose3d, after: Tensor) -> Tensor:
    """Return the weights of the transposed convolution that equals `up` followed by a convolution.

    `after` holds the weights of the convolution, (out, between, *kernel). For the formula see
    `JoinedConvolution`. The sums are computed in float64.
    """
    weight = _bias_as_input(up).double()  # (low, between, *kernel)
    after, (d, h, w) = after.double().flip(2, 3, 4), after.shape[2:]
    depth, height, width = up.kernel_size
    composed = torch.zeros(
        len(weight), len(after), depth + d - 1, height + h - 1, width + w - 1, dtype=weight.dtype
    )
    for z, y, x in product(range(depth), range(height), range(width)):
        products = torch.einsum("lb,ob...->lo...", weight[:, :, z, y, x], after)
        composed[:, :, z : z + d, y : y + h, x : x + w] += products
    return composed.to(up.weight.dtype)


def _bias_as_input(up: nn.ConvTranspose3d) -> Tensor:
    """Return the weights (in, out, *kernel) of `up`; its bias is appended as one more input channel."""
    weight = up.weight.detach()
    if up.bias is None:
        return weight
    bias = up.bias.detach()[None, :, None, None, None]
    return torch.cat([weight, bias.expand(1, *weight.shape[1:])])
