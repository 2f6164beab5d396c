"""Distances in mm between the borders of two masks: 95th percentile Hausdorff and mean distance.

MONAI computes them. A mask's border consists of its voxels with a face towards a voxel outside the mask
or towards the edge of the volume; distances are measured between the centres of border voxels.
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
    """Distances between the borders of the predicted and the drawn mask of one structure.

    A distance is that from a border voxel of one mask to the nearest border voxel of the other.

    Attributes
    ----------
    hd95_mm
        The 95th percentile of the distances in each direction; the larger of the two (Hausdorff
        distance without outliers).
    assd_mm
        Average symmetric surface distance: the mean of the distances of both directions.
    """

    hd95_mm: float
    assd_mm: float


def surface_distances(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Triple
) -> SurfaceDistances:
    """Compute the distances between the borders of two masks.

    Parameters
    ----------
    found, truth
        Predicted and drawn mask, bool (D, H, W) = (z, y, x), of one shape.
    spacing_mm
        Voxel size (x, y, z).

    Returns
    -------
    SurfaceDistances
        Both distances are 0 if both masks are empty. If only one is empty, both are the volume's
        diagonal, the largest possible distance, so that an empty prediction is never an advantage.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D.
    """
    if found.shape != truth.shape or found.ndim != 3:
        raise ValueError(f"masks must have the same 3D shape, got {found.shape} and {truth.shape}.")
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
    """Compute `surface_distances` of every structure in two label maps.

    Parameters
    ----------
    found, truth
        Predicted and drawn label map, uint8 (D, H, W) = (z, y, x), of one shape.
    structures
        The structures to compare.
    spacing_mm
        Voxel size (x, y, z).

    Returns
    -------
    dict of str to SurfaceDistances
        Structure's name to its distances.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D.
    """
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
    with warnings.catch_warnings():  # MONAI 1.5 and 1.6 warn about an argument that they set
        warnings.filterwarnings("ignore", ".*always_return_as_numpy", FutureWarning)
        hd95 = compute_hausdorff_distance(*masks, percentile=95, **options)
        assd = compute_average_surface_distance(*masks, symmetric=True, **options)
    return SurfaceDistances(float(hd95), float(assd))
