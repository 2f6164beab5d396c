"""How far the members agree on each structure as a whole: volumes and pairwise Dice."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MM3_PER_ML = 1000.0


class LabelMap(Protocol):
    """A label map (D, H, W): an array, or a file of which slices are read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(D, H, W)."""

    def __getitem__(self, z: int, /) -> NDArray[np.uint8]:
        """Slice z, uint8 (H, W)."""


@dataclass(frozen=True)
class StructureAgreement:
    """The members' opinions of one structure.

    Attributes
    ----------
    name
        The structure.
    volumes_ml
        Volume in mL, member by member; then their mean, smallest, median and largest.
    coefficient_of_variation
        Population standard deviation of the volumes over their mean; None when no member finds the
        structure.
    mean_pairwise_dice
        Mean Dice over all pairs of members; two empty masks agree (1), an empty and a non-empty one
        do not (0). None with fewer than two members.
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
    """Overlap of two masks, 2 |A and B| / (|A| + |B|).

    Dice, "Measures of the amount of ecologic association between species", Ecology 1945.

    Parameters
    ----------
    a, b
        bool, of one shape.

    Returns
    -------
    float
        0 (nothing in common) to 1 (equal); 1 when both are empty, 0 when one is.

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


def agreement(
    members: Sequence[LabelMap],
    structures: Mapping[str, int],
    voxel_volume_mm3: float,
) -> list[StructureAgreement]:
    """Compare the members' label maps, structure by structure.

    Parameters
    ----------
    members
        K label maps (D, H, W), uint8, at least one; asked for one slice (H, W) of each at a time.
    structures
        Name to label value.
    voxel_volume_mm3
        Volume of a voxel, above 0.

    Returns
    -------
    list of StructureAgreement
        In the order of `structures`; empty when there are none.

    Raises
    ------
    ValueError
        If there is no member, their shapes differ or are not 3D, or a voxel has no volume.
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
                # |A_i and A_j| of all pairs at once. Products of floats are fast, those of integers
                # are not; float64 counts exactly, float32 only up to 2^24.
                ones = masks.astype(np.float64)  # (K, H * W)
                overlaps[name] += (ones @ ones.T).astype(np.int64)
    scale = voxel_volume_mm3 / MM3_PER_ML
    return [_summarise(name, overlap, scale) for name, overlap in overlaps.items()]


def _summarise(name: str, overlap: NDArray[np.int64], ml_per_voxel: float) -> StructureAgreement:
    """Sum up one structure from |A_i and A_j| of all pairs (the diagonal holds |A_i|)."""
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
        mean_pairwise_dice=statistics.fmean(pairs) if pairs else None,
    )


def _dice(both: int, a: int, b: int) -> float:
    return 1.0 if a + b == 0 else 2 * both / (a + b)
