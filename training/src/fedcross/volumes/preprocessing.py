"""How a volume is made into the input of the networks; see `prepare` for the computation."""

from typing import Annotated, Literal

from pydantic import Field

from fedcross.volumes.structure import StrictModel

Millimetres = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1024)]


class Preprocessing(StrictModel):
    """How a volume is made into what the networks see; (x, y, z)."""

    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    patch_size: tuple[Side, Side, Side]
    overlap: Annotated[float, Field(ge=0, lt=1, description="Of neighbouring patches.")] = 0.25
    orientation: Literal["LPS"] = "LPS"
    intensity: Literal["zscore"] = "zscore"
    modality: Annotated[str, Field(max_length=40)] = ""
