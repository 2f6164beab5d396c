"""Settings for turning a volume into the input of the networks; `prepare` applies them."""

from typing import Annotated, Literal

from pydantic import Field

from fedcross.volumes.structure import StrictModel

Millimetres = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1024)]


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
    """

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    patch_size: tuple[Side, Side, Side]
    overlap: Annotated[float, Field(ge=0, lt=1, description="Of neighbours, as a share.")] = 0.25
    orientation: Literal["LPS"] = "LPS"
    intensity: Literal["zscore"] = "zscore"
    modality: Annotated[str, Field(max_length=40)] = ""
