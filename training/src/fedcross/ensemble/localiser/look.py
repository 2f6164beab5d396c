"""Where the structures are, as the first member sees them at a first look, so that all look only there.

The first member looks the volume over in a few patches that hardly overlap and leave gaps of up to
`MAX_GAP_MM`: what is thinner than a gap and lies wholly in it is not seen. Around what it takes, or
nearly takes, for a structure lie `MARGIN_MM` of surroundings; a gap beside it belongs to them up to its
other side. They are a set of cells: two places far apart do not include what lies between. All members
compute those patches of the full grid that carry the weight in the surroundings
(`fedcross.ensemble.localiser.selection`), at the same places as without a localiser. Outside everything
is background, and of no uncertainty.

If the first member misses a structure, if nothing would be saved, or if a member sees a structure where
the surroundings end, all of them read the whole volume after all.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble.localiser.cells import Cells
from fedcross.patches.placement import Start, plan_sparsely
from fedcross.patches.predictor import PatchPredictor
from fedcross.patches.sliding_window import Progress, cut_patches
from fedcross.volumes.grid import Triple
from fedcross.volumes.slab import Slab

SUSPECT = 0.2
"""What is a structure with this probability has its surroundings."""
MARGIN_MM = 10.0
"""Of the surroundings: in volumes that were looked at, members saw a structure up to 6.4 mm beyond what
the first one suspects."""
MAX_GAP_MM = 12.0
"""Also how far a gap beside something suspected belongs to its surroundings, and half of the margin
around that: a structure may go on there as far as where the first member has looked again."""
MAX_SHARE = 0.25
"""Of what all members take for the whole volume: a look that takes more is not worth it."""
CELLS_PER_SIDE = 40
"""Of a patch, so that a weight changes little within a cell, a fifth of sigma."""
SMALLEST_CELL = 2
"""Voxels along an axis, so that a set of cells stays small beside the volume."""


class MissedError(Exception):
    """The surroundings do not hold the structures."""


def plan_look(
    shape: Sequence[int], patch: Sequence[int], spacing_mm: Triple, full: int, members: int
) -> list[Start]:
    """Return the patches of the first look; none if it is not worth it.

    Parameters
    ----------
    shape
        Of the volume, (D, H, W).
    patch
        Shape of a patch, (d, h, w).
    spacing_mm
        Of the voxels, (x, y, z).
    full
        Patches that each member takes for the whole volume.
    members
        K.
    """
    # Whole voxels, so that rounding makes no gap wider.
    widest_gap = [MAX_GAP_MM // spacing for spacing in spacing_mm[::-1]]
    starts = plan_sparsely(shape, patch, widest_gap)
    is_worth_it = full > 1 and len(starts) <= MAX_SHARE * members * full
    return starts if is_worth_it else []


def look(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    *,
    patch: Sequence[int],
    starts: Sequence[Start],
    classes: int,
    spacing_mm: Triple,
    progress: Progress,
) -> Cells | None:
    """Let a member look at some patches.

    Parameters
    ----------
    predict, volume, patch, starts, classes, progress
        As in `fedcross.patches.sliding_window.stream_patches`.
    spacing_mm
        Of the voxels, (x, y, z).

    Returns
    -------
    Cells or None
        The surroundings of what it suspects; None if it finds a structure nowhere.
    """
    side = [max(SMALLEST_CELL, voxels // CELLS_PER_SIDE) for voxels in patch]
    suspected = Cells.none(volume.shape, side)
    found = np.zeros(classes, dtype=np.bool_)
    for done, (start, voxels) in enumerate(cut_patches(volume, patch, starts), start=1):
        if voxels is not None:
            low = tuple(max(-first, 0) for first in start)  # before it lies what was put around
            inside = tuple(slice(n, n + m) for n, m in zip(low, volume.shape, strict=True))
            probabilities = predict(voxels)[:, *inside]
            found[np.unique(probabilities.argmax(axis=0))] = True
            z, y, x = (max(first, 0) for first in start)
            suspected.add((z, y, x), probabilities[1:].max(axis=0) >= SUSPECT)
        progress(done, len(starts))
    if not found[1:].all():
        return None
    near = suspected.grown(MARGIN_MM, spacing_mm)
    # In a gap what it suspects beside it may go on, up to the gap's other side.
    gaps = Cells.between(starts, patch, suspected) & suspected.grown(MAX_GAP_MM, spacing_mm)
    return near | gaps.grown(MARGIN_MM / 2, spacing_mm)


def confined(slabs: Iterable[Slab], surroundings: Cells) -> Iterator[Slab]:
    """Pass on what a member says, changed in place to background outside the surroundings.

    Parameters
    ----------
    slabs
        Of the volume, as `fedcross.patches.sliding_window.stream_patches` yields them.
    surroundings
        As `look` returns them.

    Raises
    ------
    MissedError
        If a structure is the most probable class in the surroundings' outermost cells, but for cells
        that are outermost only because the volume ends: it goes on outside.
    """
    rim = surroundings.rim()
    for part, probabilities in slabs:
        background, structures = probabilities[0], probabilities[1:]
        if (structures > background)[:, rim.voxels(part)].any():
            raise MissedError("A structure goes on beyond where the first model sees it.")
        outside = ~surroundings.voxels(part)
        background[outside], structures[:, outside] = 1, 0
        yield part, probabilities
