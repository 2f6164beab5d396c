"""Numbers and positions in the text headers of NRRD and MetaImage."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.opening import quoted
from fedcross.volumes.grid import Grid

_EXPORT_AGAIN = "Correct its header, or export it again."
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE
)


def whole_numbers(text: str, count: int, what: str) -> tuple[int, ...]:
    """Parse `count` whole numbers; `what` names them in the message of the DataError."""
    words = text.split()
    if len(words) != count or not all(map(_WHOLE.fullmatch, words)):
        raise _wrong(text, count, what, "whole numbers")
    return tuple(map(int, words))


def numbers(text: str, count: int, what: str) -> tuple[float, ...]:
    """Parse `count` numbers, which may be NaN; `what` names them in the message of the DataError."""
    words = text.replace(",", " ").split()
    if len(words) != count or not all(map(_NUMBER.fullmatch, words)):
        raise _wrong(text, count, what, "numbers")
    return tuple(map(float, words))


def _wrong(text: str, count: int, what: str, kind: str) -> DataError:
    return DataError(f"{what} must be {count} {kind}, got {quoted(text)}.", _EXPORT_AGAIN)


def grid_of_vectors(
    vectors: NDArray[np.float64],
    lengths: NDArray[np.float64],
    origin_mm: Sequence[float],
    size: tuple[int, int, int],
) -> Grid:
    """Return a grid.

    Parameters
    ----------
    vectors
        (3, 3); each row is the direction of an axis, LPS, of length 1.
    lengths
        (3,) spacing along the axes in mm.
    origin_mm
        (3,) LPS position of the first voxel.
    size
        Voxels along x, y, z.
    """
    x, y, z = (float(side) for side in lengths)
    i, j, k = (float(place) for place in origin_mm)
    return Grid(size, (x, y, z), (i, j, k), tuple(vectors.T.ravel().tolist()))
