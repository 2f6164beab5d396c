"""Rules for the grid of the network: voxel spacing, patch and batch. They compute with numbers only.

Triples are (x, y, z). Most rules are those of nnU-Net (Isensee et al., Nature Methods 2021,
https://doi.org/10.1038/s41592-020-01008-z), as its code version 2 has them.
"""

import math
from collections.abc import Callable, Sequence

Triple = tuple[float, float, float]
Sides = tuple[int, int, int]

ANISOTROPY = 3.0
"""Ratio from which the coarsest axis counts as anisotropic, in spacing and in number of voxels."""

COARSER = 1.01  # factor of one step of `coarsen`
COVERED_SHARE = 0.25
CONTEXT = 2.0
MIN_BATCH, MAX_BATCH = 2, 16
STEP_SHARE = 0.05


def is_anisotropic(spacing_mm: Triple, size: Triple) -> bool:
    """Whether one axis has a much larger spacing and much fewer voxels than the other two.

    nnU-Net's rule: the largest spacing is more than three times the next one, and the same axis has
    less than a third of the voxels of each other axis.

    Parameters
    ----------
    spacing_mm
        Voxel spacing, mm.
    size
        Voxels of the median case at this spacing.
    """
    coarse = spacing_mm.index(max(spacing_mm))
    others = [axis for axis in range(3) if axis != coarse]
    return spacing_mm[coarse] > ANISOTROPY * max(spacing_mm[axis] for axis in others) and (
        ANISOTROPY * size[coarse] < min(size[axis] for axis in others)
    )


def target_spacing(
    spacing_mm: Triple, fine_spacing_mm: Triple, size: Triple
) -> tuple[Triple, bool]:
    """Choose the voxel spacing from those of the cases, by nnU-Net's rule.

    It is the median of every axis. If the median case is anisotropic, see `is_anisotropic`, the
    coarsest axis takes percentile 10 instead, so that the cases with thin slices lose less, but not less
    than the largest of the other two.

    Parameters
    ----------
    spacing_mm, fine_spacing_mm
        Median and percentile 10 of the cases' spacings, mm.
    size
        Voxels of the median case at `spacing_mm`.

    Returns
    -------
    spacing_mm : tuple of float
        With six significant digits.
    anisotropic : bool
        Whether the rule for anisotropic cases was used.
    """
    anisotropic = is_anisotropic(spacing_mm, size)
    chosen = list(spacing_mm)
    if anisotropic:
        coarse = chosen.index(max(chosen))
        others = [step for axis, step in enumerate(chosen) if axis != coarse]
        chosen[coarse] = max(fine_spacing_mm[coarse], *others)
    x, y, z = (float(f"{step:.6g}") for step in chosen)
    return (x, y, z), anisotropic


def fit_patch(
    size: Sequence[float], spacing_mm: Sequence[float], divisors: Sides, max_voxels: float
) -> Sides:
    """Choose the patch: as much of the median case as the memory allows, by nnU-Net's rule.

    The patch begins as the median case, rounded up to the divisors. While it has too many voxels, the
    side that is largest in relation to the median case loses one divisor; of equal ones the longest in
    mm. It keeps at least two divisors along one axis, because instance normalisation needs more than
    one voxel at the lowest level.

    Parameters
    ----------
    size
        Voxels of the median case at `spacing_mm`.
    spacing_mm
        Voxel spacing, mm.
    divisors
        Numbers of which the sides must be multiples.
    max_voxels
        Largest number of voxels of a patch.
    """
    patch = [
        min(1024 // divisor, max(1, math.ceil(side / divisor - 1e-6))) * divisor
        for side, divisor in zip(size, divisors, strict=True)
    ]
    if all(side == divisor for side, divisor in zip(patch, divisors, strict=True)):
        patch[list(size).index(max(size))] *= 2
    while math.prod(patch) > max_voxels:
        spare = [axis for axis in range(3) if patch[axis] > divisors[axis]]
        if sum(side // divisor for side, divisor in zip(patch, divisors, strict=True)) <= 4:
            break
        largest = max(
            spare, key=lambda axis: (patch[axis] / size[axis], patch[axis] * spacing_mm[axis])
        )
        patch[largest] -= divisors[largest]
    x, y, z = patch
    return x, y, z


def coarsen(
    spacing_mm: Triple,
    sides_mm: Sequence[float],
    extent_mm: Sequence[float],
    patch_at: Callable[[Triple], Sides],
) -> Triple:
    """Return a coarser spacing at which a patch sees enough of the volume; the same one if it does.

    nnU-Net's rule for a low resolution: the spacing grows until the patch has at least a quarter of the
    median case's voxels. Only the finer axes grow until they are within a factor of two of the coarsest;
    then all grow. nnU-Net trains such a network beside the one of full resolution; here it is the only
    one. Therefore it also ends where the patch is twice as long as the labelled voxels along every axis:
    a small structure does not need a view of the whole volume. That second limit is this project's.

    Parameters
    ----------
    spacing_mm
        Spacing to begin with.
    sides_mm
        Sides of the median case, mm.
    extent_mm
        Median sides of the bounding box of the labelled voxels, mm.
    patch_at
        Patch that fits the memory at a spacing, see `fit_patch`.
    """
    begin = spacing_mm
    while not _sees_enough(spacing_mm, sides_mm, extent_mm, patch_at(spacing_mm)):
        coarsest = max(spacing_mm)
        fine = [coarsest / step > 2 for step in spacing_mm]
        grows = fine if any(fine) else [True] * 3
        x, y, z = (
            step * COARSER if grow else step for step, grow in zip(spacing_mm, grows, strict=True)
        )
        spacing_mm = (x, y, z)
        if max(spacing_mm) > 50:
            break
    if spacing_mm == begin:
        return begin
    x, y, z = (
        old if old == new else float(f"{new:.3g}")
        for old, new in zip(begin, spacing_mm, strict=True)
    )
    return x, y, z


def _sees_enough(
    spacing_mm: Triple, sides_mm: Sequence[float], extent_mm: Sequence[float], patch: Sides
) -> bool:
    patch_mm = [side * step for side, step in zip(patch, spacing_mm, strict=True)]
    seen = [min(side, whole) for side, whole in zip(patch_mm, sides_mm, strict=True)]
    return math.prod(seen) >= COVERED_SHARE * math.prod(sides_mm) or all(
        side >= min(CONTEXT * extent, whole)
        for side, extent, whole in zip(patch_mm, extent_mm, sides_mm, strict=True)
    )


def fit_batch(patch: Sides, step_voxels: float, train_voxels: float) -> int:
    """Choose the number of patches per step, by nnU-Net's rule.

    At least two. More if the memory allows it, but not more than together have 5 % of the voxels of all
    training cases, so that a few cases are not repeated within a step. At most 16, as the FedCross
    authors take.

    Parameters
    ----------
    patch
        Voxels of a patch.
    step_voxels
        Largest number of voxels of all patches of a step.
    train_voxels
        Voxels of all training cases at the spacing of the network.
    """
    most = min(step_voxels, STEP_SHARE * train_voxels)
    return max(MIN_BATCH, min(MAX_BATCH, int(most // math.prod(patch))))
