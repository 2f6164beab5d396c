"""Find the regions of an uncertainty map that a reader should check first, and rank them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.uncertainty.agreement import MM3_PER_ML

_CONNECTIVITY = np.ones((3, 3, 3), bool)  # 26 neighbours

Point = tuple[float, float, float]


@dataclass(frozen=True)
class HotSpot:
    """A connected region where the ensemble is uncertain.

    Attributes
    ----------
    rank
        1 for the region with the largest sum of uncertainty times volume, then 2, 3 ...
    centroid_voxel
        Uncertainty-weighted centroid as a continuous index (x, y, z).
    centroid_mm
        The same point in physical LPS coordinates, mm.
    volume_ml, voxels
        Size of the region in mL and in voxels.
    peak, mean
        Largest and mean uncertainty in the region.
    structure
        Name of the structure whose boundary is nearest; None if the label map has no structure.
    """

    rank: int
    centroid_voxel: Point
    centroid_mm: Point
    volume_ml: float
    voxels: int
    peak: float
    mean: float
    structure: str | None


@dataclass(frozen=True)
class _Region:
    indices: NDArray[np.intp]  # (n, 3): indices (x, y, z) of its n voxels
    heat: NDArray[np.float64]  # (n,): their uncertainty


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

    Each region is assigned to the structure whose boundary is nearest: the distance in mm is averaged
    over the region's voxels, weighted by uncertainty. The centroid's distance would not do, because
    the centroid of a region around an organ lies inside the organ, far from its boundary. The nearest
    voxel's distance would not do either, because a region along one structure can touch another.

    Parameters
    ----------
    heat
        Uncertainty (D, H, W), float32.
    threshold
        Lowest uncertainty that counts; above 0.
    labels
        The ensemble's label map (D, H, W), uint8. A structure's boundary consists of its voxels that
        share a face with another label or with the end of the volume.
    structures
        Maps the name of each structure to its label value, 1 to 255. Structures without a voxel in
        `labels` are ignored. If several are equally near, the first in this mapping is taken.
    index_to_world
        4x4 affine from (x, y, z) indices to LPS mm; may be oblique and anisotropic.
    min_volume_ml
        Regions smaller than this, in mL, are left out.
    limit
        Largest number of regions to return, 0 or more; None returns all.

    Returns
    -------
    list of HotSpot
        Ordered by rank. Regions with equal sums keep the order of their first voxels in the array.
        Empty if no voxel reaches the threshold.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D, the threshold is not above 0, the limit is negative or
        the affine is not 4x4 and invertible.
    """
    if heat.shape != labels.shape or heat.ndim != 3:
        raise ValueError(f"heat {heat.shape} and labels {labels.shape} must be one 3D shape.")
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0, got {threshold}.")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, got {limit}.")
    voxel_ml = _voxel_ml(index_to_world)
    # The tolerance absorbs rounding in the determinant of a rotated grid.
    min_voxels = math.ceil(min_volume_ml / voxel_ml - 1e-6)
    regions = _ranked_regions(heat, threshold, min_voxels, limit)
    boundaries = _boundary_trees(labels, structures, index_to_world) if regions else {}
    return [
        _describe(rank, region, boundaries, index_to_world, voxel_ml)
        for rank, region in enumerate(regions, start=1)
    ]


def _voxel_ml(index_to_world: NDArray[np.float64]) -> float:
    volume = abs(np.linalg.det(index_to_world[:3, :3])) if index_to_world.shape == (4, 4) else 0
    if not volume > 0:
        raise ValueError(f"index_to_world must be 4x4 and invertible, got {index_to_world}.")
    return float(volume) / MM3_PER_ML


def _ranked_regions(
    heat: NDArray[np.float32], threshold: float, min_voxels: int, limit: int | None
) -> list[_Region]:
    # Plane by plane, because lists of all hot voxels can be several times as large as the volume.
    regions, count = scipy.ndimage.label(heat >= threshold, structure=_CONNECTIVITY)
    sizes, sums = np.zeros(count + 1, np.int64), np.zeros(count + 1)
    for plane, values in zip(regions, heat, strict=True):
        hot = np.nonzero(plane)
        np.add.at(sizes, plane[hot], 1)
        np.add.at(sums, plane[hot], values[hot].astype(np.float64))
    ranked = np.argsort(-sums[1:], kind="stable") + 1
    kept = ranked[sizes[ranked] >= min_voxels][:limit]
    order = np.zeros(count + 1, np.int32)  # 0: not kept
    order[kept] = np.arange(1, len(kept) + 1)
    indices: list[list[NDArray[np.intp]]] = [[] for _ in kept]
    heats: list[list[NDArray[np.float64]]] = [[] for _ in kept]
    for z, (plane, values) in enumerate(zip(regions, heat, strict=True)):
        here = order[plane]
        y, x = np.nonzero(here)
        rank = here[y, x]
        for one in np.unique(rank):
            ys, xs = y[rank == one], x[rank == one]
            indices[one - 1].append(np.stack([xs, ys, np.full_like(xs, z)], axis=1))
            heats[one - 1].append(values[ys, xs].astype(np.float64))
    return [
        _Region(np.concatenate(voxels), np.concatenate(values))
        for voxels, values in zip(indices, heats, strict=True)
    ]


def _describe(
    rank: int,
    region: _Region,
    boundaries: "Mapping[str, scipy.spatial.KDTree]",
    index_to_world: NDArray[np.float64],
    voxel_ml: float,
) -> HotSpot:
    centroid = np.average(region.indices, axis=0, weights=region.heat)
    points = _to_world(region.indices, index_to_world)
    distances_mm = {
        name: float(np.average(boundary.query(points)[0], weights=region.heat))
        for name, boundary in boundaries.items()
    }
    return HotSpot(
        rank=rank,
        centroid_voxel=_point(centroid),
        centroid_mm=_point(_to_world(centroid, index_to_world)),
        volume_ml=len(region.heat) * voxel_ml,
        voxels=len(region.heat),
        peak=float(region.heat.max()),
        mean=float(region.heat.mean()),
        structure=min(distances_mm, key=lambda name: distances_mm[name], default=None),
    )


def _boundary_trees(
    labels: NDArray[np.uint8], structures: Mapping[str, int], index_to_world: NDArray[np.float64]
) -> "dict[str, scipy.spatial.KDTree]":
    """Return, for each structure in `labels`, a tree of its boundary voxels' world coordinates."""
    boxes = dict(enumerate(scipy.ndimage.find_objects(labels), start=1))
    trees = {}
    for name, label in structures.items():
        box = boxes.get(label)
        if box is not None:
            mask = labels[box] == label
            shell = mask & ~scipy.ndimage.binary_erosion(mask)
            indices = (np.argwhere(shell) + [axis.start for axis in box])[:, ::-1]
            trees[name] = scipy.spatial.KDTree(_to_world(indices, index_to_world))
    return trees


def _to_world(
    indices: NDArray[np.number], index_to_world: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the world coordinates (..., 3) in mm of indices (..., 3)."""
    return np.asarray(indices @ index_to_world[:3, :3].T + index_to_world[:3, 3])


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return (x, y, z)
