"""How far two borders are apart: 95th percentile Hausdorff distance and mean surface distance, mm.

By MONAI: a mask's border are its voxels with a face towards anything else, the volume's edge
included, and distances are between the centres of border voxels.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.structure import Structure

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class SurfaceDistances:
    """Of one structure in one case.

    Attributes
    ----------
    hd95_mm
        The larger of the two directions' 95th percentiles of the distances from every border voxel
        of one mask to the nearest one of the other (Hausdorff distance without its outliers).
    assd_mm
        Average symmetric surface distance: the mean of all distances of both directions together.
    """

    hd95_mm: float
    assd_mm: float


def surface_distances(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Triple
) -> SurfaceDistances:
    """Compare two masks.

    Parameters
    ----------
    found, truth
        bool (D, H, W) = (z, y, x), of one shape.
    spacing_mm
        Voxel size (x, y, z).

    Returns
    -------
    SurfaceDistances
        0 and 0 when both masks are empty: there was nothing, and nothing was found. When one is
        empty there is no distance; missing a structure and inventing one then both count as the
        volume's diagonal, the largest distance that there could have been, so that a method gains
        nothing by keeping silent.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D.
    """
    if found.shape != truth.shape or found.ndim != 3:
        raise ValueError(f"masks must have one 3D shape, got {found.shape} and {truth.shape}.")
    if not found.any() and not truth.any():
        return SurfaceDistances(0.0, 0.0)
    if not found.any() or not truth.any():
        sides = zip(found.shape, spacing_mm[::-1], strict=True)
        diagonal = math.sqrt(sum((count * side) ** 2 for count, side in sides))
        return SurfaceDistances(diagonal, diagonal)
    return _by_monai(found, truth, spacing_mm[::-1])


def surface_by_structure(
    found: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    structures: Sequence[Structure],
    spacing_mm: Triple,
) -> dict[str, SurfaceDistances]:
    """The same for two label maps of one shape, by the structure's name."""
    return {
        s.name: surface_distances(found == s.label, truth == s.label, spacing_mm)
        for s in structures
    }


def _by_monai(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_zyx: Triple
) -> SurfaceDistances:
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

    masks = (found[None, None], truth[None, None])  # (D, H, W) -> (1, 1, D, H, W)
    options = {"include_background": True, "spacing": list(spacing_zyx)}
    with warnings.catch_warnings():  # MONAI 1.5 and 1.6 warn of an argument of their own
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        hd95 = compute_hausdorff_distance(*masks, percentile=95, **options)
        assd = compute_average_surface_distance(*masks, symmetric=True, **options)
    return SurfaceDistances(float(hd95), float(assd))
