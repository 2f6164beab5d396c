"""Settings for turning the images of a case into the input of the networks; `prepare` applies them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcross.contract.request import MAX_CHANNELS
from fedcross.volumes.structure import StrictModel

MAX_SPACING_MM = 100.0
Millimetres = Annotated[float, Field(gt=0, le=MAX_SPACING_MM, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1024)]
Modality = Annotated[str, Field(max_length=40)]
# A colon separates the name in the column "image:NAME" of a data list.
ChannelName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f/\\:]+$")]
Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Intensity = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]
Spread = Annotated[float, Field(ge=1e-6, le=1e5, allow_inf_nan=False)]

DEFAULT_PERCENTILES = (0.5, 99.5)
"""Percentiles between which ``percentile`` clips if none are given, after nnU-Net."""

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "zscore": (),
    "zscore-nonzero": (),
    "percentile": ("percentiles",),
    "ct": ("window", "mean", "std"),
}
"""Kind of intensity normalisation to the names of its parameters."""


class Channel(StrictModel):
    """One of several co-registered images of a case, for example T2 or ADC."""

    name: ChannelName = Field(description="Name for users and in data lists.")
    modality: Modality = Field(
        default="", description="Imaging modality; empty if it is that of the whole bundle."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Accept a name alone."""
        return {"name": value} if isinstance(value, str) else value


class Preprocessing(StrictModel):
    """Preprocessing settings of a bundle.

    A parameter of an intensity normalisation that is not used is neither accepted nor written, so that
    settings without it have the same hash as before there was such a parameter.
    """

    added_later: ClassVar[tuple[str, ...]] = (
        "channels",
        "percentiles",
        "window",
        "mean",
        "std",
    )

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres] = Field(
        description="Voxel spacing of the networks' grid in mm, along x, y, z."
    )
    patch_size: tuple[Side, Side, Side] = Field(
        description="Voxels of a patch along x, y, z. Every side is a multiple of the total stride of "
        "the network along its axis, 16 for unet."
    )
    overlap: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.25,
        description="Share of a patch by which neighbouring patches overlap in validation, test and "
        "segmentation.",
    )
    orientation: Literal["LPS"] = Field(default="LPS", description="Orientation of the axes.")
    intensity: Literal["zscore", "zscore-nonzero", "percentile", "ct"] = Field(
        default="zscore",
        description="Intensity normalisation of every channel on its own, see "
        "`fedcross.volumes.intensity.normalise`.",
    )
    percentiles: tuple[Percent, Percent] | None = Field(
        default=None,
        description="Only percentile: lower and upper percentile of the volume, [0.5, 99.5] when left "
        "out.",
    )
    window: tuple[Intensity, Intensity] | None = Field(
        default=None,
        description="Only ct, which needs it: lowest and highest intensity, in HU.",
    )
    mean: Intensity | None = Field(
        default=None,
        description="Only ct, which needs it: what is subtracted after clipping, in HU.",
    )
    std: Spread | None = Field(
        default=None,
        description="Only ct, which needs it: what the difference is divided by, in HU.",
    )
    modality: Modality = Field(
        default="",
        description="Imaging modality, for example MR; empty if unknown. A volume with another one "
        "gets a warning.",
    )
    channels: Annotated[tuple[Channel, ...], Field(max_length=MAX_CHANNELS)] = Field(
        default=(),
        description="Names of the images of a case, in the order of the networks' input channels, for "
        "example T2 and ADC; in place of a name also a table with name and modality. Empty for one "
        "image without a name.",
    )

    @property
    def channel_count(self) -> int:
        """Number of images of a case, at least 1."""
        return max(1, len(self.channels))

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the images of a case; "image" if the only one has no name."""
        return tuple(channel.name for channel in self.channels) or ("image",)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modality of each image of a case; empty if unknown."""
        own = tuple(channel.modality or self.modality for channel in self.channels)
        return own or (self.modality,)

    @field_validator("channels")
    @classmethod
    def _check_names(cls, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        names = [channel.name for channel in channels]
        if len({name.casefold() for name in names}) != len(names):
            raise ValueError(f"two channels have the same name, got {', '.join(names)}")
        return channels

    @model_validator(mode="before")
    @classmethod
    def _fill_in_percentiles(cls, values: Any) -> Any:
        """Set the default percentiles, so that they are recorded."""
        if isinstance(values, Mapping) and values.get("intensity") == "percentile":
            return {"percentiles": DEFAULT_PERCENTILES, **values}
        return values

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        needed = PARAMETERS[self.intensity]
        for name in ("percentiles", "window", "mean", "std"):
            value = getattr(self, name)
            if value is None and name in needed:
                raise ValueError(f'intensity = "{self.intensity}" needs {name}')
            if value is not None and name not in needed:
                raise ValueError(f'{name} is not a parameter of intensity = "{self.intensity}"')
        for name in ("percentiles", "window"):
            pair = getattr(self, name)
            if pair is not None and not pair[0] < pair[1]:
                raise ValueError(f"{name} must be [low, high] with low < high, got {list(pair)}")
        return self

    def describe_intensity(self) -> str:
        """Return the intensity normalisation in words, for people."""
        if self.percentiles is not None:
            low, high = self.percentiles
            return f"intensities clipped to the percentiles {low:g} and {high:g}, then z-scores"
        if self.window is not None:
            low, high = self.window
            return (
                f"intensities clipped to {low:g} to {high:g} HU, minus {self.mean:g}, divided by "
                f"{self.std:g}"
            )
        voxels = " of the non-zero voxels" if self.intensity == "zscore-nonzero" else ""
        return f"z-score intensities{voxels}"
