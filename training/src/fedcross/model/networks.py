"""Build the networks of `fedcross.model.architecture`; each maps images to logits."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from fedcross.model.architecture import (
    Architecture,
    CustomArchitecture,
    DynUNetArchitecture,
    Norm,
    SegResNetArchitecture,
    UNetArchitecture,
)
from fedcross.model.custom_network import build_custom_network

GROUPS = 8


def build_network(architecture: Architecture) -> nn.Module:
    """Build a network with untrained weights.

    Parameters
    ----------
    architecture
        Name and arguments of the network. Under ``torch.device("meta")`` no memory is allocated.

    Returns
    -------
    torch.nn.Module
        Maps float32 (N, in_channels, D, H, W) to logits (N, classes, D, H, W); the axes D, H, W are
        z, y, x. Their sides must be multiples of ``architecture.reduction``, (x, y, z).

    Raises
    ------
    PluginError
        If the network is code of another package that is not installed, not allowed, or does not work.
    """
    if isinstance(architecture, CustomArchitecture):
        return build_custom_network(architecture)
    if isinstance(architecture, UNetArchitecture):
        return UNet(architecture)
    if isinstance(architecture, SegResNetArchitecture):
        return _segresnet(architecture)
    return _dynunet(architecture)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw new weights, in place, in the same way as the reference implementation.

    Convolutions get Xavier normal kernels and zero biases, normalisations get weight 1 and bias 0.
    Transposed convolutions get PyTorch's default (Kaiming uniform) kernels and zero biases.

    Parameters
    ----------
    network
        Network to initialise.
    generator
        Source of all random numbers: the same seed gives the same network.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.xavier_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.ConvTranspose3d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d | nn.InstanceNorm3d | nn.GroupNorm):
            if module.weight is not None:
                nn.init.ones_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class UNet(nn.Module):
    """The reference 3D U-Net, with the parameter names of DIAL-RPI/FedCross.

    Four encoding blocks (two 3x3x3 convolutions, then 2x2x2 max pooling), four decoding blocks (two
    convolutions, then a 2x2x2 transposed convolution) and a last pair of convolutions, with skip
    connections by concatenation. With ``in_channels=1, base_channels=32, classes=2`` it has
    10.74 million parameters. Unlike the reference it returns logits in training and evaluation.

    Attributes
    ----------
    coarse_in_float32 : bool
        Whether the blocks at a quarter of the resolution and below compute in float32 under autocast.
    """

    coarse_in_float32 = False

    def __init__(self, architecture: UNetArchitecture) -> None:
        super().__init__()
        c, norm = architecture.base_channels, architecture.norm
        self.enc1 = _Encoder(architecture.in_channels, c, norm)
        self.enc2 = _Encoder(c, 2 * c, norm)
        self.enc3 = _Encoder(2 * c, 4 * c, norm)
        self.enc4 = _Encoder(4 * c, 8 * c, norm)
        self.dec1 = _Decoder(8 * c, 8 * c, norm)
        self.dec2 = _Decoder(16 * c, 4 * c, norm)
        self.dec3 = _Decoder(8 * c, 2 * c, norm)
        self.dec4 = _Decoder(4 * c, c, norm)
        self.lastconv = _DoubleConvolution(2 * c, c, norm)
        self.outconv = nn.Conv3d(c, architecture.classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to logits (N, classes, D, H, W)."""
        x, skip1 = self.enc1(x)
        x, skip2 = self.enc2(x)
        if self.coarse_in_float32:
            with torch.autocast(x.device.type, enabled=False):
                x = self._forward_coarse(x.float())
        else:
            x = self._forward_coarse(x)
        x = self.dec4(torch.cat([skip2, x], dim=1))
        x = self.lastconv(torch.cat([skip1, x], dim=1))
        return cast(Tensor, self.outconv(x))

    def _forward_coarse(self, x: Tensor) -> Tensor:
        """Map the features at a quarter of the resolution to those that `dec4` takes."""
        x, skip3 = self.enc3(x)
        x, skip4 = self.enc4(x)
        x = self.dec1(x)
        x = self.dec2(torch.cat([skip4, x], dim=1))
        return cast(Tensor, self.dec3(torch.cat([skip3, x], dim=1)))


class EnsembleNetwork(nn.Module):
    """K members as one network, which maps images to the mean of their softmax probabilities.

    MONAI's runner uses it, through a bundle's ``configs/inference.json``. FedCross itself runs the
    members one after another.

    Parameters
    ----------
    architecture
        Network of every member, also as a dictionary of JSON values.
    members
        K.
    temperature
        The logits are divided by it before the softmax; above 0.
    """

    def __init__(
        self,
        architecture: dict[str, Any] | Architecture,
        members: int,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self._temperature = temperature
        if isinstance(architecture, dict):
            architecture = TypeAdapter(Architecture).validate_python(architecture)
        self.members = nn.ModuleList(build_network(architecture) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to probabilities (N, classes, D, H, W)."""
        logits = [member(x) / self._temperature for member in self.members]
        return torch.stack([each.softmax(dim=1) for each in logits]).mean(dim=0)


class _DoubleConvolution(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv3d(in_channels, out_channels, 3, padding=1),
            _normalisation(norm, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(out_channels, out_channels, 3, padding=1),
            _normalisation(norm, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(x))


class _Encoder(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv = _DoubleConvolution(in_channels, out_channels, norm)
        self.down = nn.MaxPool3d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.conv(x)
        return self.down(skip), skip


class _Decoder(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.conv = _DoubleConvolution(in_channels, out_channels, norm)
        self.up = nn.ConvTranspose3d(out_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.up(self.conv(x)))


def _normalisation(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm3d(channels)
    if norm == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    return nn.GroupNorm(_groups(channels), channels)


def _groups(channels: int) -> int:
    """Return the largest number of groups, at most `GROUPS`, that divides `channels`."""
    return max(n for n in range(1, GROUPS + 1) if channels % n == 0)


def _monai_normalisation(norm: Norm, channels: Sequence[int]) -> object:
    """Return MONAI's argument for a normalisation that fits every number of channels given."""
    if norm == "group":
        return ("GROUP", {"num_groups": _groups(math.gcd(*channels))})
    return {"batch": "BATCH", "instance": ("INSTANCE", {"affine": True})}[norm]


def _segresnet(architecture: SegResNetArchitecture) -> nn.Module:
    from monai.networks.nets import SegResNet

    return cast(
        nn.Module,
        SegResNet(
            spatial_dims=3,
            init_filters=architecture.init_filters,
            in_channels=architecture.in_channels,
            out_channels=architecture.classes,
            blocks_down=architecture.blocks_down,
            blocks_up=(1,) * (len(architecture.blocks_down) - 1),
            norm=_monai_normalisation(architecture.norm, [architecture.init_filters]),
        ),
    )


def _dynunet(architecture: DynUNetArchitecture) -> nn.Module:
    from monai.networks.nets import DynUNet

    strides: Sequence[tuple[int, ...]] = [stride[::-1] for stride in architecture.strides]
    return cast(
        nn.Module,
        DynUNet(
            spatial_dims=3,
            in_channels=architecture.in_channels,
            out_channels=architecture.classes,
            kernel_size=[3] * len(architecture.filters),
            strides=strides,
            upsample_kernel_size=strides[1:],
            filters=architecture.filters,
            norm_name=_monai_normalisation(architecture.norm, architecture.filters),
            res_block=architecture.residual,
        ),
    )
