"""Where the structures are, as the first member sees them at a first look, so that all look only there.

The first member looks the volume over in patches side by side, without overlap, shown the structures as
large as it knows them. In a small volume these would be more than half of the full grid's patches: there
it reads the full grid, and what it says is kept and not asked for again. Around what it takes, or nearly
takes, for a structure lies a box, and all members compute those patches of the full grid that touch it,
at the same places as without a localiser: in the box every probability is the same, bit for bit. Outside
it everything is background, and of no uncertainty. If the first member misses a structure, the box
touches every patch, or a member's segmentation reaches the box's faces, all of them read the whole
volume after all.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.geometry import Triple
from fedcross.infer.patches import Box, Slab

SIDE_BY_SIDE = 0.0
"""Overlap of the patches of the first look."""
SUSPECT = 0.2
"""What is a structure with this probability lies in the box."""
MARGIN_MM = 10.0
"""Of the box around it, on every side."""


class MissedError(Exception):
    """The box does not hold the structures."""


class Surroundings:
    """Gathers from a member's probabilities, slab by slab, where the structures are.

    Parameters
    ----------
    shape
        Of the member's probabilities, (C, D, H, W).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape[1:])
        self._found = np.zeros(shape[0] - 1, dtype=np.bool_)
        self._suspect = [np.zeros(side, dtype=np.bool_) for side in self._shape]

    def see(self, part: slice, probabilities: NDArray[np.float32]) -> None:
        """Take in slices z of the volume: float32 (C, dz, H, W)."""
        background, structures = probabilities[0], probabilities[1:]
        self._found |= (structures > background).any(axis=(1, 2, 3))
        suspect: NDArray[np.bool_] = np.asarray((structures >= SUSPECT).any(axis=0))
        self._suspect[0][part] |= suspect.any(axis=(1, 2))
        self._suspect[1] |= suspect.any(axis=(0, 2))
        self._suspect[2] |= suspect.any(axis=(0, 1))

    def box(self, spacing_mm: Triple) -> Box | None:
        """Return the box, as slices (z, y, x); None if a structure is nowhere.

        Parameters
        ----------
        spacing_mm
            Of the voxels, (x, y, z).
        """
        if not self._found.all():
            return None
        sides = []
        for side, seen, spacing in zip(self._shape, self._suspect, spacing_mm[::-1], strict=True):
            places, margin = np.flatnonzero(seen), math.ceil(MARGIN_MM / spacing)
            low, high = int(places[0]) - margin, int(places[-1]) + 1 + margin
            sides.append(slice(max(low, 0), min(high, side)))
        return sides[0], sides[1], sides[2]


class Recorded:
    """What a member says of a volume, kept in a file to be had again.

    Parameters
    ----------
    file
        Empty, opened for reading and writing, and for nothing else.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._cuts: list[tuple[slice, tuple[int, ...]]] = []

    def record(self, slabs: Iterable[Slab]) -> Iterator[Slab]:
        """Pass slabs on once they are written.

        Raises
        ------
        OSError
            If the disk is full.
        """
        for part, probabilities in slabs:
            self._file.write(np.ascontiguousarray(probabilities).data)
            self._cuts.append((part, probabilities.shape))
            yield part, probabilities

    def __iter__(self) -> Iterator[Slab]:
        self._file.seek(0)
        for part, shape in self._cuts:
            # Not as bytes: whoever takes a slab may change it.
            found = bytearray(self._file.read(4 * math.prod(shape)))
            yield part, np.frombuffer(found, np.float32).reshape(shape)


def confined(slabs: Iterable[Slab], box: Box, shape: Sequence[int]) -> Iterator[Slab]:
    """Pass on what a member says, changed in place to background outside the box.

    Parameters
    ----------
    slabs
        Of the volume, as `fedcross.infer.patches.stream_patches` yields them.
    box
        As `Surroundings.box` returns it.
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
        inner = probabilities[:, low : max(high, 0), y, x]
        at_z = (z.start == 0 or z.start < part.start, z.stop == shape[0] or z.stop > part.stop)
        at_y, at_x = ((p.start == 0, p.stop == n) for p, n in zip((y, x), shape[1:], strict=True))
        if inner.size and _reaches(inner, (at_z, at_y, at_x)):
            raise MissedError("A structure goes on beyond where the first model sees it.")
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
