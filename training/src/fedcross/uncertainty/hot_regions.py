"""The voxels of the places that a reader should check first, by the doubt of the ensemble."""

import math

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import MM3_PER_ML
from fedcross.uncertainty.places import Place, border_voxels, find_places

DIGITS = 6
"""Lengths in mm are rounded to so many digits: a file may change the last bits of an affine."""
FARTHEST_RADII = 3.0
"""Distance from the border, in radii of a place, from which the weight of a doubt falls no further."""


def find_hot_regions(
    doubt: NDArray[np.float32],
    threshold: float,
    labels: NDArray[np.uint8],
    index_to_world: NDArray[np.float64],
    *,
    radius_mm: float,
    min_volume_ml: float = 0.0,
    limit: int = 50,
) -> list[Place]:
    """Return the voxels of each hot spot, in the order of their ranks.

    The places are those of `fedcross.uncertainty.places.find_places` in a map of weights. The weight of
    a voxel is its doubt times exp(-d / r), where d is its distance to the border of the segmentation and
    r the radius of a place: doubt far from the segmentation is less often an error. From 3 r on, and
    without any border, the distance makes no further difference. Voxels below the threshold have no
    weight.

    Parameters
    ----------
    doubt
        How likely each voxel is wrong, for example 1 minus the largest mean probability; float32
        (D, H, W), from 0 to 1.
    threshold
        Lowest doubt that counts; above 0.
    labels
        The ensemble's label map (D, H, W), uint8.
    index_to_world
        4x4 affine from (x, y, z) indices to LPS mm; may be oblique and anisotropic, but not sheared.
    radius_mm
        Radius of a place, above 0.
    min_volume_ml
        Places smaller than this, in mL, are left out.
    limit
        Largest number of places, 0 or more.

    Returns
    -------
    list of Place
        Their weights are sums over their voxels.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D, the threshold or the radius is not above 0, the limit is
        negative or the affine is not 4x4 and invertible.
    """
    if doubt.shape != labels.shape or doubt.ndim != 3:
        raise ValueError(f"doubt {doubt.shape} and labels {labels.shape} must be one 3D shape.")
    if not radius_mm > 0:
        raise ValueError(f"radius_mm must be above 0, got {radius_mm}.")
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0, got {threshold}.")
    if limit < 0:
        raise ValueError(f"limit must not be negative, got {limit}.")
    # The tolerance absorbs rounding in the determinant of a rotated grid.
    min_voxels = math.ceil(min_volume_ml / voxel_ml(index_to_world) - 1e-6)
    spacing_mm = np.round(np.linalg.norm(index_to_world[:3, :3], axis=0)[::-1], DIGITS)
    weights = np.where(doubt >= threshold, doubt, np.float32(0))
    weights *= _closeness(labels, spacing_mm, radius_mm)
    places = find_places(weights, spacing_mm, radius_mm, limit)
    return [place for place in places if len(place.indices) >= min_voxels]


def _closeness(
    labels: NDArray[np.uint8], spacing_mm: NDArray[np.float64], radius_mm: float
) -> NDArray[np.float32]:
    """Return exp(-d / r) of every voxel, where d is its distance to the nearest border voxel, mm."""
    found = scipy.ndimage.find_objects((labels > 0).view(np.uint8))
    if not found:
        return np.ones(labels.shape, np.float32)
    closeness = np.full(labels.shape, math.exp(-FARTHEST_RADII), np.float32)
    reach = [math.ceil(FARTHEST_RADII * radius_mm / step) + 1 for step in spacing_mm]
    box = tuple(
        slice(max(0, part.start - far), part.stop + far)
        for part, far in zip(found[0], reach, strict=True)
    )
    border = border_voxels(labels[box])
    if not border.any():
        return np.ones(labels.shape, np.float32)
    distances = scipy.ndimage.distance_transform_edt(~border, sampling=spacing_mm)
    closeness[box] = np.exp(-np.minimum(distances / radius_mm, FARTHEST_RADII))
    return closeness


def voxel_ml(index_to_world: NDArray[np.float64]) -> float:
    """Return the volume of a voxel in mL.

    Raises
    ------
    ValueError
        If the affine is not 4x4 and invertible.
    """
    volume = abs(np.linalg.det(index_to_world[:3, :3])) if index_to_world.shape == (4, 4) else 0
    if not volume > 0:
        raise ValueError(f"index_to_world must be 4x4 and invertible, got {index_to_world}.")
    return float(volume) / MM3_PER_ML
