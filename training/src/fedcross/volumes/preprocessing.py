"""Settings for turning the images of a case into the input of the networks; `prepare` applies them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from fedcross.contract.request import MAX_CHANNELS
from fedcross.volumes.structure import StrictModel

Millimetres = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1024)]
Modality = Annotated[str, Field(max_length=40)]
# A colon separates the name in the column "image:NAME" of a data list.
ChannelName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f/\\:]+$")]


class Channel(StrictModel):
    """One of several co-registered images of a case, for example T2 or ADC.

    Attributes
    ----------
    name : str
        Name for users and in data lists.
    modality : str
        Imaging modality; empty if it is that of `Preprocessing`.
    """

    name: ChannelName
    modality: Modality = ""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Accept a name alone."""
        return {"name": value} if isinstance(value, str) else value


class Preprocessing(StrictModel):
    """Preprocessing settings of a bundle.

    Attributes
    ----------
    spacing_mm : tuple of float
        Voxel spacing of the networks' grid in mm, (x, y, z).
    patch_size : tuple of int
        Voxels of a patch, (x, y, z).
    overlap : float
        Share of a patch by which neighbouring patches overlap, 0 <= overlap < 1.
    orientation, intensity : str
        Orientation of the axes and kind of intensity normalisation.
    modality : str
        Imaging modality, for example "MR"; empty if unknown.
    channels : tuple of Channel
        The images of a case, in the order of the networks' input channels; empty for one image
        without a name.
    """

    added_later: ClassVar[tuple[str, ...]] = ("channels",)

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    patch_size: tuple[Side, Side, Side]
    overlap: Annotated[float, Field(ge=0, lt=1, description="Of neighbours, as a share.")] = 0.25
    orientation: Literal["LPS"] = "LPS"
    intensity: Literal["zscore"] = "zscore"
    modality: Modality = ""
    channels: Annotated[tuple[Channel, ...], Field(max_length=MAX_CHANNELS)] = ()

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
