"""Find the places of a segmentation that a reader should check first, and rank them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # scipy imports its submodules on first use, which keeps the start of a process fast
from numpy.typing import NDArray

from fedcross.uncertainty.hot_regions import DIGITS, find_hot_regions, voxel_ml
from fedcross.uncertainty.places import Place

Point = tuple[float, float, float]


@dataclass(frozen=True)
class HotSpot:
    """A place of limited size where the segmentation is doubtful.

    Attributes
    ----------
    rank
        1 for the place with the largest weight, see `find_hot_regions`, then 2, 3 ...
    centroid_voxel
        Centroid weighted by the doubt, as a continuous index (x, y, z).
    centroid_mm
        The same point in physical LPS coordinates, mm.
    volume_ml, voxels
        Size in mL and in voxels.
    peak, mean
        Largest and mean doubt.
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


def find_hotspots(
    doubt: NDArray[np.float32],
    threshold: float,
    labels: NDArray[np.uint8],
    structures: Mapping[str, int],
    index_to_world: NDArray[np.float64],
    *,
    radius_mm: float,
    min_volume_ml: float = 0.0,
    limit: int = 50,
) -> list[HotSpot]:
    """Find and rank the places where a segmentation is most doubtful.

    The places are those of `find_hot_regions`. Each is assigned to the structure whose boundary is
    nearest: the distance in mm is averaged over the voxels of the place, weighted by the doubt. The
    centroid's distance would not do, because the centroid of a place that reaches around a thin organ
    lies inside it, far from its boundary. The nearest voxel's distance would not do either, because a
    place along one structure can touch another.

    Parameters
    ----------
    doubt, threshold, labels, index_to_world, radius_mm, min_volume_ml, limit
        See `find_hot_regions`. A structure's boundary consists of its voxels that
        share a face with another label or with the end of the volume.
    structures
        Maps the name of each structure to its label value, 1 to 255. Structures without a voxel in
        `labels` are ignored. If several are equally near, the first in this mapping is taken.

    Returns
    -------
    list of HotSpot
        Ordered by rank; empty if no voxel reaches the threshold.

    Raises
    ------
    ValueError
        If the shapes differ or are not 3D, the threshold or the radius is not above 0, the limit is
        negative or the affine is not 4x4 and invertible.
    """
    regions = find_hot_regions(
        doubt,
        threshold,
        labels,
        index_to_world,
        radius_mm=radius_mm,
        min_volume_ml=min_volume_ml,
        limit=limit,
    )
    boundaries = _boundary_trees(labels, structures, index_to_world) if regions else {}
    return [
        _describe(rank, region, doubt, boundaries, index_to_world)
        for rank, region in enumerate(regions, start=1)
    ]


def _describe(
    rank: int,
    region: Place,
    doubt: NDArray[np.float32],
    boundaries: "Mapping[str, scipy.spatial.KDTree]",
    index_to_world: NDArray[np.float64],
) -> HotSpot:
    values = doubt[tuple(region.indices.T)].astype(np.float64)
    indices = region.indices[:, ::-1]  # (z, y, x) -> (x, y, z)
    centroid = np.average(indices, axis=0, weights=values)
    points = _to_world(indices, index_to_world)
    distances_mm = {
        name: float(np.average(boundary.query(points)[0], weights=values))
        for name, boundary in boundaries.items()
    }
    return HotSpot(
        rank=rank,
        centroid_voxel=_point(centroid),
        centroid_mm=_point(np.round(_to_world(centroid, index_to_world), DIGITS)),
        volume_ml=len(values) * voxel_ml(index_to_world),
        voxels=len(values),
        peak=float(values.max()),
        mean=float(values.mean()),
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
