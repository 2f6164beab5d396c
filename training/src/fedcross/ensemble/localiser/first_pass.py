"""Find the surroundings of the structures with the first member, so that all members run only there.

1. The first member runs on a few patches that hardly overlap (the first pass). Gaps of up to
   `MAX_GAP_MM` between them are not covered; a structure that lies completely in a gap is not found.
2. Voxels in which a structure has a probability of at least `SUSPECT` are suspected. The surroundings
   are all cells within `MARGIN_MM` of a suspected voxel. A gap beside a suspected voxel belongs to them
   up to its other side. They are a set of cells, so space between distant structures is left out.
3. All members run on those patches of the full grid that carry most of the weight in the surroundings
   (`fedcross.ensemble.localiser.selection`). The patches have the same positions as without localiser.
   Outside the surroundings every voxel is background without uncertainty.

All members run on the whole volume instead if the first member does not find every structure, if the
first pass would not save time, or if a member finds a structure at the edge of the surroundings.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble.localiser.cells import Cells
from fedcross.patches.placement import Start, plan_sparse_patches
from fedcross.patches.predictor import PatchPredictor
from fedcross.patches.sliding_window import Progress, cut_patches
from fedcross.volumes.grid import Triple
from fedcross.volumes.slab import Slab

SUSPECT = 0.2
"""Probability of a structure from which a voxel is suspected."""
MARGIN_MM = 10.0
"""Width of the surroundings in mm. In the volumes measured, members found structures up to 6.4 mm
beyond the voxels that the first member suspects."""
MAX_GAP_MM = 12.0
"""Largest gap in mm between patches of the first pass. Cells of a gap up to this distance from a
suspected voxel belong to the surroundings, with half of `MARGIN_MM` around them: the structure may
continue through the gap up to the next patch."""
MAX_SHARE = 0.25
"""Largest number of patches of a first pass, as a share of the patches that all members together need
for the whole volume. A first pass of more patches is not run."""
CELLS_PER_SIDE = 40
"""Cells along a side of a patch. A cell is then a fifth of the weight's sigma, so the weight changes
little within a cell."""
SMALLEST_CELL = 2
"""Smallest side of a cell in voxels, so that a set of cells needs little memory beside the volume."""


class StructureMissedError(Exception):
    """A structure continues outside the surroundings."""


def plan_first_pass(
    shape: Sequence[int], patch: Sequence[int], spacing_mm: Triple, full: int, members: int
) -> list[Start]:
    """Return the patches of the first pass, or an empty list if it would not save time.

    Parameters
    ----------
    shape
        Shape of the volume, (D, H, W).
    patch
        Shape of a patch, (d, h, w).
    spacing_mm
        Voxel spacing in mm, (x, y, z).
    full
        Number of patches that each member needs for the whole volume.
    members
        K, number of members.

    Returns
    -------
    list of (int, int, int)
        First voxel (z, y, x) of each patch.
    """
    # Whole voxels, so that the rounding of positions makes no gap too wide.
    widest_gap = [MAX_GAP_MM // spacing for spacing in spacing_mm[::-1]]
    starts = plan_sparse_patches(shape, patch, widest_gap)
    is_worth_it = full > 1 and len(starts) <= MAX_SHARE * members * full
    return starts if is_worth_it else []


def find_surroundings(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    starts: Sequence[Start],
    classes: int,
    spacing_mm: Triple,
    progress: Progress,
) -> Cells | None:
    """Run a member on some patches and return the surroundings of the structures.

    Parameters
    ----------
    predict
        The member.
    volume
        Normalised intensities, float32 (channels, D, H, W).
    patch
        Shape of a patch, (d, h, w).
    starts
        First voxel (z, y, x) of each patch, as `plan_first_pass` returns them.
    classes
        C, background included.
    spacing_mm
        Voxel spacing in mm, (x, y, z).
    progress
        Called with (patches done, number of patches) after each patch.

    Returns
    -------
    Cells or None
        The surroundings; None if a structure is nowhere the most probable class.
    """
    side = [max(SMALLEST_CELL, voxels // CELLS_PER_SIDE) for voxels in patch]
    suspected = Cells.empty(volume.shape[1:], side)
    found = np.zeros(classes, dtype=np.bool_)
    for done, (start, voxels) in enumerate(cut_patches(volume, patch, starts), start=1):
        if voxels is not None:
            low = tuple(max(-first, 0) for first in start)  # voxels of padding before the volume
            inside = tuple(slice(n, n + m) for n, m in zip(low, volume.shape[1:], strict=True))
            probabilities = predict(voxels)[:, *inside]
            found[np.unique(probabilities.argmax(axis=0))] = True
            z, y, x = (max(first, 0) for first in start)
            suspected.add((z, y, x), probabilities[1:].max(axis=0) >= SUSPECT)
        progress(done, len(starts))
    if not found[1:].all():
        return None
    near = suspected.dilate(MARGIN_MM, spacing_mm)
    # A structure beside a gap may continue in the gap, up to the gap's other side.
    gaps = Cells.outside_patches(starts, patch, suspected) & suspected.dilate(
        MAX_GAP_MM, spacing_mm
    )
    return near | gaps.dilate(MARGIN_MM / 2, spacing_mm)


def clear_outside(slabs: Iterable[Slab], surroundings: Cells) -> Iterator[Slab]:
    """Yield a member's slabs with everything outside the surroundings set to background, in place.

    Parameters
    ----------
    slabs
        Probabilities, as `fedcross.patches.sliding_window.stream_patches` yields them.
    surroundings
        Result of `find_surroundings`.

    Raises
    ------
    StructureMissedError
        If a structure is the most probable class of a voxel in the outermost cells of the surroundings,
        because it then probably continues outside. Cells at the end of the volume are not outermost
        for that reason alone.
    """
    rim = surroundings.rim()
    for part, probabilities in slabs:
        background, structures = probabilities[0], probabilities[1:]
        if (structures > background)[:, rim.voxel_mask(part)].any():
            raise StructureMissedError(
                "A structure continues beyond where the first model finds it."
            )
        outside = ~surroundings.voxel_mask(part)
        background[outside], structures[:, outside] = 1, 0
        yield part, probabilities
