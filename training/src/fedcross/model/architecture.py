"""The networks that a bundle may contain, each with typed and bounded arguments (an allow-list).

This module does not import torch, so that a manifest can be read without it.
"""

import math
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from fedcross.contract.request import MAX_CHANNELS
from fedcross.model.plugin import PluginReference
from fedcross.runtime.stable_record import StableRecord

Norm = Literal["batch", "instance", "group"]
Channels = Annotated[int, Field(ge=1, le=1024)]
Power = Literal[1, 2, 4, 8, 16, 32, 64]
Classes = Annotated[int, Field(ge=2, le=256, description="Output classes, background included.")]


class _Architecture(StableRecord):
    model_config = ConfigDict(frozen=True, extra="forbid")

    in_channels: Annotated[int, Field(ge=1, le=MAX_CHANNELS)] = Field(
        default=1, description="Images of a case, one input channel each."
    )
    classes: Classes = 2

    @property
    @abstractmethod
    def reduction(self) -> tuple[int, int, int]:
        """Factor by which the lowest level is smaller than the patch, along (x, y, z)."""

    @property
    @abstractmethod
    def first_channels(self) -> int:
        """Number of features at the first level; 0 if it is not known."""

    def divides(self, patch_size: tuple[int, int, int]) -> bool:
        """Return whether every side (x, y, z) of a patch is a multiple of `reduction`."""
        return not any(
            side % factor for side, factor in zip(patch_size, self.reduction, strict=True)
        )

    @property
    def divisors(self) -> str:
        """`reduction` for people: one number if it is the same along all axes."""
        same = len(set(self.reduction)) == 1
        return str(self.reduction[0] if same else list(self.reduction))

    def lowest_voxels(self, patch_size: tuple[int, int, int]) -> int:
        """Return the number of voxels at the lowest level for a patch of size (x, y, z)."""
        return math.prod(
            side // factor for side, factor in zip(patch_size, self.reduction, strict=True)
        )


class UNetArchitecture(_Architecture):
    """The 3D U-Net of the FedCross authors: five levels, two convolutions each."""

    name: Literal["unet"] = "unet"
    base_channels: Channels = Field(
        default=32, description="Channels of the first level; doubled at each level below."
    )
    norm: Norm = Field(
        default="instance",
        description="Normalisation after every convolution. The authors use batch normalisation, whose "
        "statistics are those of the hospital visited last.",
    )

    @property
    def first_channels(self) -> int:
        """The field `base_channels`."""
        return self.base_channels

    @property
    def reduction(self) -> tuple[int, int, int]:
        """16 along every axis: four levels halve the patch."""
        return (16, 16, 16)


class SegResNetArchitecture(_Architecture):
    """MONAI's SegResNet (Myronenko, BrainLes 2018) without the auto-encoder branch."""

    name: Literal["segresnet"] = "segresnet"
    init_filters: Annotated[int, Field(ge=8, le=256, multiple_of=8)] = Field(
        default=8,
        description="Channels of the first level, a multiple of 8; doubled at each level below.",
    )
    blocks_down: Annotated[
        tuple[Annotated[int, Field(ge=1, le=8)], ...],
        Field(min_length=2, max_length=6, description="Residual blocks of each level."),
    ] = (1, 2, 2, 4)
    norm: Norm = Field(default="group", description="Normalisation of the blocks.")

    @property
    def first_channels(self) -> int:
        """The field `init_filters`."""
        return self.init_filters

    @property
    def reduction(self) -> tuple[int, int, int]:
        """2 to the power of the number of levels below the first, along every axis."""
        factor: int = 2 ** (len(self.blocks_down) - 1)
        return (factor, factor, factor)


class DynUNetArchitecture(_Architecture):
    """MONAI's DynUNet (after nnU-Net, Isensee et al., Nature Methods 2021)."""

    name: Literal["dynunet"] = "dynunet"
    filters: Annotated[
        tuple[Channels, ...],
        Field(min_length=3, max_length=7, description="Channels of each level."),
    ] = (16, 32, 64, 128)
    strides: Annotated[
        tuple[tuple[Literal[1, 2], Literal[1, 2], Literal[1, 2]], ...],
        Field(description="Per level, along (x, y, z); the first level is (1, 1, 1)."),
    ] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    residual: bool = Field(default=False, description="Whether the blocks are residual.")
    norm: Norm = Field(default="instance", description="Normalisation after every convolution.")

    @model_validator(mode="after")
    def _check_strides(self) -> "DynUNetArchitecture":
        if len(self.strides) != len(self.filters):
            raise ValueError(
                f"strides must have one entry per level, got {len(self.strides)} for "
                f"{len(self.filters)} filters"
            )
        if self.strides[0] != (1, 1, 1):
            raise ValueError(f"the first level's strides must be (1, 1, 1), got {self.strides[0]}")
        return self

    @property
    def first_channels(self) -> int:
        """The first of `filters`."""
        return self.filters[0]

    @property
    def reduction(self) -> tuple[int, int, int]:
        """Product of the strides of all levels along each axis."""
        x, y, z = (math.prod(axis) for axis in zip(*self.strides, strict=True))
        return (x, y, z)


class CustomArchitecture(_Architecture):
    """A network of another installed package; see `fedcross.model.custom_network`."""

    name: Literal["custom"] = "custom"
    plugin: PluginReference = Field(description="The network's entry point in fedcross.networks.")
    downsampling: tuple[Power, Power, Power] = Field(
        default=(16, 16, 16),
        description="Factor by which the lowest level is smaller than the patch, along (x, y, z): "
        "powers of two up to 64. The sides of a patch are multiples of it.",
    )
    norm: Literal["batch", "instance", "group", "none"] = Field(
        default="instance",
        description="Normalisation that the network has; the checks of the patch size and of the noise "
        "need it.",
    )

    @property
    def first_channels(self) -> int:
        """0: the network's features are not known."""
        return 0

    @property
    def reduction(self) -> tuple[int, int, int]:
        """The field `downsampling`."""
        return self.downsampling

    def with_version(self, version: str | None) -> "CustomArchitecture":
        """Return the same network, of a version of its package; None is any version."""
        plugin = self.plugin.model_copy(update={"version": version})
        return self.model_copy(update={"plugin": plugin})


Architecture = Annotated[
    UNetArchitecture | SegResNetArchitecture | DynUNetArchitecture | CustomArchitecture,
    Field(discriminator="name"),
]


def require_network(architecture: Architecture) -> None:
    """Check that a network's code is in this package, or is installed and allowed.

    Nothing is imported.

    Raises
    ------
    PluginError
        If the network's package is not installed, not allowed, or of another version.
    """
    if isinstance(architecture, CustomArchitecture):
        architecture.plugin.require("network")
