"""A transposed convolution and the convolution after it as one: less to compute, the same result.

In a U-Net what comes from below is enlarged by a transposed convolution, laid beside the skip
connection, and convolved. All of that is linear, so that the convolution can be split by its inputs, and
its one half multiplied out with the transposed convolution before it:

    conv([skip, up(low)]) = skip_weight(skip) + low_weight(low)

A doubling and a 3x3x3 convolution become a transposed convolution of 4x4x4, of which 8 taps meet a voxel
instead of 27. Neither the enlarged features nor the two side by side are ever in memory.
"""

from itertools import product
from math import ceil, prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedcross.model.networks import UNet


def compose_upsampling(network: nn.Module) -> nn.Module:
    """Compose every transposed convolution of a network with the convolution after it, where that pays.

    Parameters
    ----------
    network
        In evaluation mode. A batch normalisation after the convolution is to be folded before. The
        network's modules are used, and may be changed.

    Returns
    -------
    torch.nn.Module
        The same function but for rounding. The reference U-Net and DynUNet have such pairs; any other
        network is returned as it is.
    """
    if isinstance(network, UNet):
        return ComposedUNet(network)
    # Here and not above: it takes seconds, and the reference U-Net does without.
    from monai.networks.blocks.dynunet_block import UnetUpBlock

    composed = {
        block: _ComposedBlock(block)
        for block in network.modules()
        if isinstance(block, UnetUpBlock) and _pays(*_pair(block))
    }
    for parent in list(network.modules()):  # MONAI has each block in two places
        for name, child in list(parent.named_children()):
            if child in composed:
                setattr(parent, name, composed[child])
    return network


class JoinedConvolution(nn.Module):
    """``conv(cat([skip, up(low)]))``, composed.

    Along an axis of stride s and padding p, tap a of ``up`` takes voxel i to h = s i + a, and tap t of
    ``conv`` takes that to o = h - t + p. So both are tap a - t + 2 p of one transposed convolution with
    stride s and padding p, where their products are summed over the channels between.

    The bias of ``up`` ends where the volume does: beyond, ``conv`` sees zeros. It becomes the weights of
    one more channel of ``low``, which is 1 everywhere.

    Parameters
    ----------
    up
        With a kernel as large as its stride.
    conv
        With a kernel of 2 p + 1 and stride 1.
    skip_first
        Whether the channels of the skip connection come before those of ``up``.

    Attributes
    ----------
    skip_weight : torch.nn.Parameter
        The weights for the skip connection, (out, skipped, *kernel).
    bias : torch.nn.Parameter or None
        That of ``conv``, (out,).
    low_weight : torch.nn.Parameter
        The weights of the composed part, (low, out, *kernel); low + 1 where there is a bias.
    """

    def __init__(self, up: nn.ConvTranspose3d, conv: nn.Conv3d, *, skip_first: bool) -> None:
        super().__init__()
        weight, between = conv.weight.detach(), up.out_channels
        if skip_first:
            skip_weight, of_up = weight[:, :-between], weight[:, -between:]
        else:
            skip_weight, of_up = weight[:, between:], weight[:, :between]
        self._stride, self._padding = list(up.stride), [int(side) for side in conv.padding]
        self.skip_weight = nn.Parameter(skip_weight.contiguous(), requires_grad=False)
        self.bias = conv.bias
        self.low_weight = nn.Parameter(_compose_weights(up, of_up), requires_grad=False)
        self._has_ones = up.bias is not None

    def append_ones(self, low: Tensor) -> Tensor:
        """Add the channel of ones, where there is one."""
        return torch.cat([low, torch.ones_like(low[:, :1])], dim=1) if self._has_ones else low

    def upsample(self, low: Tensor) -> Tensor:
        """Map (N, low, D/s, H/s, W/s) to its part in the result, (N, out, D, H, W)."""
        return functional.conv_transpose3d(
            self.append_ones(low), self.low_weight, stride=self._stride, padding=self._padding
        )

    def forward(self, skip: Tensor, low: Tensor) -> Tensor:
        """Map (N, skipped, D, H, W) and (N, low, D/s, H/s, W/s) to (N, out, D, H, W)."""
        skip_weight = functional.conv3d(skip, self.skip_weight, self.bias, padding=self._padding)
        return skip_weight + self.upsample(low)


class ComposedLevels(nn.Module):
    """Levels of the reference U-Net, down and up again, with their upsampling composed.

    Parameters
    ----------
    encoders, bottom, joins, rests
        In the order in which features go through. A join takes a skip connection and what comes from
        below; the rest of its block follows.
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
        """Return the same without the upper levels, so many, at least one fewer than there are."""
        count = len(self.encoders) - level
        return ComposedLevels(
            self.encoders[level:], self.bottom, self.joins[:count], self.rests[:count]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map what the first encoder takes to features (N, out, D, H, W)."""
        skips = []
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.bottom(x)
        for join, rest in zip(self.joins, self.rests, strict=True):
            x = rest(join(skips.pop(), x))
        return x


class ComposedUNet(nn.Module):
    """The reference U-Net with its upsampling composed; see `fedcross.model.networks.UNet`."""

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
        """Map (N, 1, D, H, W) to logits (N, classes, D, H, W)."""
        return cast(Tensor, self.outconv(self.levels(x)))


class _ComposedBlock(nn.Module):
    """MONAI's ``UnetUpBlock``, composed."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.join = JoinedConvolution(*_pair(block), skip_first=False)
        rest = block.conv_block
        self.rest = nn.Sequential(rest.norm1, rest.lrelu, rest.conv2, rest.norm2, rest.lrelu)

    def forward(self, low: Tensor, skip: Tensor) -> Tensor:
        return cast(Tensor, self.rest(self.join(skip, low)))


def _pair(block: Any) -> tuple[nn.ConvTranspose3d, nn.Conv3d]:
    return block.transp_conv.conv, block.conv_block.conv1.conv


def _pays(up: nn.ConvTranspose3d, conv: nn.Conv3d) -> bool:
    """Whether the pair multiplies less when composed, in a voxel of the result."""
    apart = (
        up.in_channels * up.out_channels
        + prod(conv.kernel_size) * up.out_channels * conv.out_channels
    )
    taps = [
        ceil((k + n - 1) / s)
        for k, n, s in zip(up.kernel_size, conv.kernel_size, up.stride, strict=True)
    ]
    return prod(taps) * up.in_channels * conv.out_channels < apart


def _compose_weights(up: nn.ConvTranspose3d, after: Tensor) -> Tensor:
    """Return the weights of a transposed convolution that does what `up` and a convolution do.

    The convolution's are `after`, (out, between, *kernel). Taps meet as `JoinedConvolution` says; the
    sums are made in float64.
    """
    weight = _bias_as_input(up).double()  # (low, between, *kernel)
    after, (d, h, w) = after.double().flip(2, 3, 4), after.shape[2:]
    depth, height, width = up.kernel_size
    composed = torch.zeros(
        len(weight), len(after), depth + d - 1, height + h - 1, width + w - 1, dtype=weight.dtype
    )
    for z, y, x in product(range(depth), range(height), range(width)):
        both = torch.einsum("lb,ob...->lo...", weight[:, :, z, y, x], after)
        composed[:, :, z : z + d, y : y + h, x : x + w] += both
    return composed.to(up.weight.dtype)


def _bias_as_input(up: nn.ConvTranspose3d) -> Tensor:
    """Return its weights (in, out, *kernel), and after them its bias as if of one more input."""
    weight = up.weight.detach()
    if up.bias is None:
        return weight
    bias = up.bias.detach()[None, :, None, None, None]
    return torch.cat([weight, bias.expand(1, *weight.shape[1:])])
