"""Where the structures are, found coarsely by one member, so that all members look only there.

The volume is shrunk by `COARSE` and read in few patches. Around what is found lies a box; the members
then compute those patches of the full grid that touch it, at the same places as without a localiser, so
that in the box every probability is the same, bit for bit. A member saw the structures in another size
when it learned, so what it finds coarsely is trusted only to say where to look, and only if it finds
every structure. If afterwards a member's segmentation reaches the box's faces, or no member finds a
structure in it, the whole volume is computed after all. Outside the box everything is background, and
of no uncertainty.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.geometry import Grid
from fedcross.infer.patches import (
    Box,
    PatchPredictor,
    Progress,
    Slab,
    blend_patches,
    count_patches,
)

COARSE = 2
"""How many voxels become one, along every axis on which the volume is larger than a patch."""
SURE = 0.5
"""A structure is found where its probability reaches this."""
SUSPECT = 0.2
"""Whatever is a structure with this probability lies in the box."""
MARGIN_MM = 10.0
"""Of the box around it, on every side."""
WORTHWHILE = 0.75
"""Share of the full grid's patches above which nothing is gained by leaving the others out."""


class MissedError(Exception):
    """The box does not hold the structures."""


def coarse_patches(shape: Sequence[int], patch: Sequence[int], overlap: float) -> int:
    """Return how many patches `locate` takes; 0 if it is not worth the try.

    Parameters
    ----------
    shape
        Of the volume on the networks' grid, (D, H, W).
    patch, overlap
        As in `fedcross.infer.patches.blend_patches`.
    """
    coarse = [-(-side // f) for side, f in zip(shape, _factors(shape, patch), strict=True)]
    count = count_patches(coarse, patch, overlap)
    return count if count < WORTHWHILE * count_patches(shape, patch, overlap) else 0


def locate(
    predict: PatchPredictor,
    volume: NDArray[np.float32],
    grid: Grid,
    *,
    patch: Sequence[int],
    overlap: float,
    classes: int,
    progress: Progress | None = None,
) -> Box | None:
    """Return a box that holds all structures.

    Parameters
    ----------
    predict
        A member.
    volume
        z-scores, float32 (D, H, W).
    grid
        Where `volume` lies.
    patch, overlap, classes, progress
        As in `fedcross.infer.patches.blend_patches`.

    Returns
    -------
    (slice, slice, slice) or None
        Voxels of the volume, (z, y, x); None if a structure was not found, or the box is no gain.
    """
    factors = _factors(volume.shape, patch)
    probabilities = blend_patches(
        predict,
        _shrunk(volume, factors),
        patch=patch,
        overlap=overlap,
        classes=classes,
        progress=progress,
    )
    if any(structure.max() < SURE for structure in probabilities[1:]):
        return None
    suspect = probabilities[1:].max(axis=0) >= SUSPECT
    sides = []
    for axis, (side, factor, spacing) in enumerate(
        zip(volume.shape, factors, grid.spacing_mm[::-1], strict=True)
    ):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(suspect.any(axis=others))
        margin = math.ceil(MARGIN_MM / spacing)
        low, high = int(found[0]) * factor - margin, (int(found[-1]) + 1) * factor + margin
        sides.append(slice(max(low, 0), min(high, side)))
    box = (sides[0], sides[1], sides[2])
    everything = count_patches(volume.shape, patch, overlap)
    worthwhile = count_patches(volume.shape, patch, overlap, box) <= WORTHWHILE * everything
    return box if worthwhile else None


def confined(slabs: Iterable[Slab], box: Box, shape: Sequence[int]) -> Iterator[Slab]:
    """Pass on what a member says, changed in place to background outside the box.

    Parameters
    ----------
    slabs
        Of the volume, as `fedcross.infer.patches.stream_patches` yields them.
    box
        As `locate` returns it.
    shape
        Of the volume, (D, H, W).

    Raises
    ------
    MissedError
        If a structure is the most probable class at a face of the box, but for faces where the
        volume ends: it goes on outside.
    """
    z, y, x = box
    for part, probabilities in slabs:
        low, high = max(z.start, part.start) - part.start, min(z.stop, part.stop) - part.start
        inner = probabilities[:, max(low, 0) : max(high, 0), y, x]
        at_z = (z.start == 0 or z.start < part.start, z.stop == shape[0] or z.stop > part.stop)
        at_y, at_x = ((p.start == 0, p.stop == n) for p, n in zip((y, x), shape[1:], strict=True))
        if inner.size and _reaches(inner, (at_z, at_y, at_x)):
            raise MissedError("A structure goes on beyond where it was seen first.")
        kept = inner.copy()
        probabilities[0], probabilities[1:] = 1, 0
        inner[:] = kept
        yield part, probabilities


def _reaches(probabilities: NDArray[np.float32], open_ends: Sequence[tuple[bool, bool]]) -> bool:
    """Whether a structure is most probable at an end of an axis (z, y, x) that is not open."""
    for axis, ends in enumerate(open_ends, start=1):
        for index, is_open in zip((0, -1), ends, strict=True):
            face = np.take(probabilities, index, axis)
            if not is_open and bool((face[1:].max(axis=0) > face[0]).any()):
                return True
    return False


def _factors(shape: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    return tuple(COARSE if side > part else 1 for side, part in zip(shape, patch, strict=True))


def _shrunk(volume: NDArray[np.float32], factors: tuple[int, ...]) -> NDArray[np.float32]:
    """Average blocks of voxels; the last of an axis may be repeated to fill one."""
    for axis, factor in enumerate(factors):
        lacking = -volume.shape[axis] % factor
        after = [(0, lacking if other == axis else 0) for other in range(3)]
        padded = np.pad(volume, after, mode="edge")
        shape = list(padded.shape)
        shape[axis : axis + 1] = [shape[axis] // factor, factor]
        volume = padded.reshape(shape).mean(axis=axis + 1)
    return volume
