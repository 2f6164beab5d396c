"""Where to look first: a heat map as a ranked list of regions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fedcross.method.agreement import MM3_PER_ML

_CONNECTIVITY = np.ones((3, 3, 3), bool)  # 26 neighbours

Point = tuple[float, float, float]


@dataclass(frozen=True)
class HotSpot:
    """A connected region where the ensemble is uncertain.

    Attributes
    ----------
    rank
        1 = the most uncertainty in all (mean times volume).
    centroid_voxel
        Uncertainty-weighted centroid as a continuous index (x, y, z).
    centroid_mm
        The same in physical LPS coordinates, mm.
    volume_ml, voxels
        Size of the region.
    peak, mean
        Largest and mean uncertainty in it.
    structure
        The structure whose boundary runs nearest to the region; None when there is no structure.
    """

    rank: int
    centroid_voxel: Point
    centroid_mm: Point
    volume_ml: float
    voxels: int
    peak: float
    mean: float
    structure: str | None


def find_hotspots(
    heat: NDArray[np.float32],
    threshold: float,
    labels: NDArray[np.uint8],
    structures: Mapping[str, int],
    index_to_world: NDArray[np.float64],
    *,
    min_volume_ml: float = 0.0,
    limit: int | None = None,
) -> list[HotSpot]:
    """Find and rank the 26-connected regions where `heat` is at least `threshold`.

    Parameters
    ----------
    heat
        Uncertainty (D, H, W), float32.
    threshold
        Lowest uncertainty that counts; above 0.
    labels
        The ensemble's label map (D, H, W), uint8.
    structures
        Name to label value.
    index_to_world
        4x4 affine from (x, y, z) indices to LPS mm; may be oblique and anisotropic.
    min_volume_ml
        Smaller regions are left out.
    limit
        Keep at most so many; None keeps all.

    Returns
    -------
    list of HotSpot
        Highest rank first; empty when nothing reaches the threshold.
    """
    if heat.shape != labels.shape or heat.ndim != 3:
        raise ValueError(f"heat {heat.shape} and labels {labels.shape} must be one 3D shape.")
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0, got {threshold}.")
    regions, count = ndimage.label(heat >= threshold, structure=_CONNECTIVITY)
    voxel_ml = abs(float(np.linalg.det(index_to_world[:3, :3]))) / MM3_PER_ML
    found: list[tuple[float, int, tuple[slice, ...]]] = []
    for index, box in enumerate(ndimage.find_objects(regions), start=1):
        inside = regions[box] == index
        if np.count_nonzero(inside) * voxel_ml >= min_volume_ml:
            found.append((float(heat[box][inside].sum(dtype=np.float64)), index, box))
    # Equal sums keep the order of the scan, so that the ranking is deterministic.
    found.sort(key=lambda region: -region[0])
    boundaries = _boundary_points(labels, structures, index_to_world) if count else {}
    return [
        _describe(rank, heat[box], regions[box] == index, box, boundaries, index_to_world, voxel_ml)
        for rank, (_, index, box) in enumerate(found[:limit], start=1)
    ]


def _describe(
    rank: int,
    heat: NDArray[np.float32],
    inside: NDArray[np.bool_],
    box: tuple[slice, ...],
    boundaries: Mapping[str, NDArray[np.float64]],
    index_to_world: NDArray[np.float64],
    voxel_ml: float,
) -> HotSpot:
    values = heat[inside].astype(np.float64)
    offsets = np.array([axis.start for axis in box])
    indices = (np.argwhere(inside) + offsets)[:, ::-1]  # (z, y, x) -> (x, y, z)
    centroid = (indices * values[:, None]).sum(axis=0) / values.sum()
    world = index_to_world[:3, :3] @ centroid + index_to_world[:3, 3]
    return HotSpot(
        rank=rank,
        centroid_voxel=_point(centroid),
        centroid_mm=_point(world),
        volume_ml=len(values) * voxel_ml,
        voxels=len(values),
        peak=float(values.max()),
        mean=float(values.mean()),
        structure=_nearest(boundaries, world),
    )


def _boundary_points(
    labels: NDArray[np.uint8], structures: Mapping[str, int], index_to_world: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """World coordinates (n, 3) of each structure's boundary voxels; absent structures left out."""
    points = {}
    boxes = ndimage.find_objects(labels)
    for name, label in structures.items():
        box = boxes[label - 1] if label <= len(boxes) else None
        if box is None:
            continue
        mask = labels[box] == label
        shell = mask & ~ndimage.binary_erosion(mask)
        indices = (np.argwhere(shell) + [axis.start for axis in box])[:, ::-1]
        points[name] = indices @ index_to_world[:3, :3].T + index_to_world[:3, 3]
    return points


def _nearest(
    boundaries: Mapping[str, NDArray[np.float64]], point: NDArray[np.float64]
) -> str | None:
    """The structure whose boundary comes nearest to a point, by name order when equal."""
    distances = {
        name: float(((points - point) ** 2).sum(axis=1).min())
        for name, points in boundaries.items()
    }
    return min(distances, key=lambda name: distances[name], default=None)


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
