"""Compare the members' label maps: volume of each structure and Dice of each pair of members."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MM3_PER_ML = 1000.0


class LabelMap(Protocol):
    """A label map (D, H, W): an array, or a file from which slices are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(D, H, W)."""

    def __getitem__(self, z: int, /) -> NDArray[np.uint8]:
        """Slice z, uint8 (H, W)."""


@dataclass(frozen=True)
class StructureAgreement:
    """How far the members agree on one structure.

    Attributes
    ----------
    name
        Name of the structure.
    volumes_ml
        Its volume in mL in each member's label map, in the order of the members.
    mean_ml, min_ml, median_ml, max_ml
        Mean, smallest, median and largest of `volumes_ml`.
    coefficient_of_variation
        Population standard deviation of `volumes_ml` divided by their mean; None if no member finds
        the structure.
    mean_pairwise_dice
        Mean Dice over all pairs of members. The Dice of two empty masks is 1; that of an empty and a
        non-empty mask is 0. None with fewer than two members, and if no member finds the structure.
    """

    name: str
    volumes_ml: tuple[float, ...]
    mean_ml: float
    min_ml: float
    median_ml: float
    max_ml: float
    coefficient_of_variation: float | None
    mean_pairwise_dice: float | None


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks, 2 |A and B| / (|A| + |B|).

    Source: Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Parameters
    ----------
    a, b
        bool arrays of the same shape, with any number of axes.

    Returns
    -------
    float
        From 0 (no voxel in common) to 1 (equal). 1 if both masks are empty, 0 if only one is.

    Raises
    ------
    ValueError
        If the shapes differ or a mask is not bool.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks must have one shape, got {a.shape} and {b.shape}.")
    if a.dtype != np.bool_ or b.dtype != np.bool_:
        raise ValueError(f"masks must be bool, got {a.dtype} and {b.dtype}.")
    return _dice(int(np.count_nonzero(a & b)), int(np.count_nonzero(a)), int(np.count_nonzero(b)))


def compare_members(
    members: Sequence[LabelMap],
    structures: Mapping[str, int],
    voxel_volume_mm3: float,
) -> list[StructureAgreement]:
    """Compare the members' label maps, structure by structure.

    Parameters
    ----------
    members
        K label maps (D, H, W), uint8, at least one. They are read slice by slice (H, W).
    structures
        Maps the name of each structure to its label value.
    voxel_volume_mm3
        Volume of a voxel in mm^3, above 0.

    Returns
    -------
    list of StructureAgreement
        One entry for each structure, in the order of `structures`; empty if there are none.

    Raises
    ------
    ValueError
        If there is no member, the shapes differ or are not 3D, or `voxel_volume_mm3` is not above 0.
    """
    count = len(members)
    if count == 0:
        raise ValueError("agreement needs at least one member.")
    shapes = sorted({member.shape for member in members})
    if len(shapes) > 1 or len(shapes[0]) != 3:
        raise ValueError(f"members must have one 3D shape, got {shapes}.")
    if not voxel_volume_mm3 > 0:
        raise ValueError(f"voxel_volume_mm3 must be above 0, got {voxel_volume_mm3}.")
    overlaps = {name: np.zeros((count, count), np.int64) for name in structures}
    for z in range(members[0].shape[0]):
        slab = [np.asarray(member[z]) for member in members]
        for name, label in structures.items():
            masks = np.stack([labels == label for labels in slab]).reshape(count, -1)
            if masks.any():
                # |A_i and A_j| of all pairs at once. NumPy multiplies floats faster than integers;
                # float64 counts exactly, float32 only up to 2^24.
                ones = masks.astype(np.float64)  # (K, H * W)
                overlaps[name] += (ones @ ones.T).astype(np.int64)
    scale = voxel_volume_mm3 / MM3_PER_ML
    return [_summarise(name, overlap, scale) for name, overlap in overlaps.items()]


def _summarise(name: str, overlap: NDArray[np.int64], ml_per_voxel: float) -> StructureAgreement:
    """Summarise one structure; `overlap[i, j]` is |A_i and A_j|, so the diagonal holds |A_i|."""
    sizes = overlap.diagonal()
    volumes = tuple(float(size) * ml_per_voxel for size in sizes)
    mean = statistics.fmean(volumes)
    pairs = [
        _dice(int(overlap[i, j]), int(sizes[i]), int(sizes[j]))
        for i, j in itertools.combinations(range(len(sizes)), 2)
    ]
    return StructureAgreement(
        name=name,
        volumes_ml=volumes,
        mean_ml=mean,
        min_ml=min(volumes),
        median_ml=statistics.median(volumes),
        max_ml=max(volumes),
        coefficient_of_variation=statistics.pstdev(volumes) / mean if mean > 0 else None,
        mean_pairwise_dice=statistics.fmean(pairs) if pairs and sizes.any() else None,
    )


def _dice(both: int, a: int, b: int) -> float:
    return 1.0 if a + b == 0 else 2 * both / (a + b)
