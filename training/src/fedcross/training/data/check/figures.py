"""The figures of one case from which `fedcross plan` proposes a configuration.

They are sizes and intensities only. They contain no voxel, no name and no date, are bounded and can be
sent as JSON. Triples are (x, y, z) in LPS orientation.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Self

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fedcross.contract.fit import measure_intensities
from fedcross.errors import DataError
from fedcross.volumes.files.checks import MAX_VOXELS
from fedcross.volumes.grid import Grid
from fedcross.volumes.structure import StrictModel

FOREGROUND_PERCENTILES = (0.5, 5.0, 25.0, 50.0, 75.0, 95.0, 99.5)
MAX_SIDE_MM = 1e6  # no scanner sees a kilometre
DIGITS = 6  # significant digits of every figure

Finite = Annotated[float, Field(allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, le=MAX_SIDE_MM, allow_inf_nan=False)]
Voxels = Annotated[int, Field(ge=1, le=MAX_VOXELS)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Foreground(StrictModel):
    """The labelled voxels of one case, of all structures together.

    Attributes
    ----------
    share
        Share of the volume's voxels.
    extent_mm
        Sides of their bounding box, mm.
    percentiles
        Intensities at `FOREGROUND_PERCENTILES`.
    mean, std
        Mean and population standard deviation of their intensities.
    """

    share: Share
    extent_mm: tuple[Length, Length, Length]
    percentiles: Annotated[tuple[Finite, ...], Field(min_length=7, max_length=7)]
    mean: Finite
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if list(self.percentiles) != sorted(self.percentiles):
            raise ValueError(f"percentiles must not fall, got {list(self.percentiles)}")
        return self


class CaseFigures(StrictModel):
    """Figures of one case.

    Attributes
    ----------
    size
        Voxels along each axis.
    spacing_mm
        Voxel spacing, mm.
    nonzero_box
        Share of the volume that the bounding box of its non-zero voxels takes; 0 if there are none.
    padding
        Share of the voxels that have one value far below all others, as outside the scan; 0 if none.
    foreground
        The labelled voxels; None if there are none.
    """

    size: tuple[Voxels, Voxels, Voxels]
    spacing_mm: tuple[Length, Length, Length]
    nonzero_box: Share
    padding: Share = 0.0
    foreground: Foreground | None = None


def measure_case(image: sitk.Image, label: NDArray[np.uint8]) -> CaseFigures:
    """Measure one case.

    Parameters
    ----------
    image
        3D image.
    label
        (D, H, W) uint8 on the image's grid, with the structures' labels; 0 is background.

    Raises
    ------
    DataError
        If the volume is longer than a kilometre, or its intensities are too large for float64.
    """
    drawn = sitk.GetImageFromArray(label)
    drawn.CopyInformation(image)
    image, drawn = (sitk.DICOMOrient(each, "LPS") for each in (image, drawn))
    voxels, mask = sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(drawn) != 0
    grid = Grid.of(image)
    longest_mm = max(n * step for n, step in zip(grid.size, grid.spacing_mm, strict=True))
    if longest_mm > MAX_SIDE_MM:
        raise DataError(f"The volume is {longest_mm:g} mm long.", "Correct its spacing.")
    box = _box_voxels(voxels != 0)
    with np.errstate(over="ignore", invalid="ignore"):
        padding = measure_intensities(voxels).padding_share
    return CaseFigures(
        size=grid.size,
        spacing_mm=_rounded(grid.spacing_mm),
        nonzero_box=_round(float(np.prod(box)) / grid.voxels),
        padding=_round(padding),
        foreground=_measure_foreground(voxels, mask, grid) if mask.any() else None,
    )


def _measure_foreground(
    voxels: NDArray[np.generic], mask: NDArray[np.bool_], grid: Grid
) -> Foreground:
    values = voxels[mask].astype(np.float64)
    sides = (count * step for count, step in zip(_box_voxels(mask), grid.spacing_mm, strict=True))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(values.mean()), float(values.std())
    if not np.isfinite(std):
        raise DataError("The volume's intensities are too large.", "Scale it.")
    return Foreground(
        share=_round(values.size / grid.voxels),
        extent_mm=_rounded(sides),
        percentiles=_rounded(np.percentile(values, FOREGROUND_PERCENTILES).tolist()),
        mean=_round(mean),
        std=_round(std),
    )


def _box_voxels(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Sides (x, y, z) of the bounding box of the true voxels of a mask (z, y, x); 0 without any."""
    sides = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        sides.append(int(found[-1] - found[0] + 1) if found.size else 0)
    z, y, x = sides
    return x, y, z


def _rounded(values: Iterable[float]) -> Any:
    return tuple(map(_round, values))


def _round(value: float) -> float:
    """Return a number with `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")
