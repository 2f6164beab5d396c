"""The position of an NRRD volume: its axes in space, spacing, origin and directions.

Format: https://teem.sourceforge.net/nrrd/format.html.
"""

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.opening import quoted
from fedcross.volumes.files.stored import NO_ORIENTATION, NO_ORIGIN, NO_SPACING
from fedcross.volumes.files.text_header import grid_of_vectors, numbers
from fedcross.volumes.grid import Grid

_EXPORT_AGAIN = "Correct its header, or export it again."
_TO_LPS = {
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
}
_UNORIENTED = ("scanner-xyz", "3d-right-handed", "3d-left-handed", "3drh", "3dlh")
_KINDS_IN_SPACE = ("domain", "space", "???", "none")
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)

Vectors = list[tuple[float, ...] | None]
"""Vector of every axis of the file; None for an axis that is not in space."""


def parse_vectors(text: str, name: str) -> Vectors:
    """Parse the field "space directions"."""
    if _VECTOR.sub("", text).strip():
        raise DataError(f"The space directions of {name} are not vectors.", _EXPORT_AGAIN)
    what = f"A space direction of {name}"
    return [
        None if found[1] is None else numbers(found[1], found[1].count(",") + 1, what)
        for found in _VECTOR.finditer(text)
    ]


def spatial_axes(
    axes: int, vectors: Vectors | None, kinds: list[str], name: str
) -> tuple[int, ...]:
    """Return the axes in space. ITK writes 4D images with four axes in space; the last is not one."""
    if vectors is not None:
        if len(vectors) != axes:
            raise DataError(
                f"{name} has {axes} axes, but {len(vectors)} space directions.", _EXPORT_AGAIN
            )
        spatial = [axis for axis, vector in enumerate(vectors) if vector is not None]
    elif axes > 3:
        spatial = [n for n, kind in enumerate(kinds) if kind.lower() in _KINDS_IN_SPACE[:3]]
    else:
        spatial = list(range(axes))
    for axis in spatial[:3]:
        if kinds[axis].lower() not in _KINDS_IN_SPACE:
            raise DataError(
                f"Axis {axis + 1} of {name} is of the kind {quoted(kinds[axis])}, but it lies in space.",
                _EXPORT_AGAIN,
            )
    return tuple(spatial[:3])


def locate(
    fields: Mapping[str, str],
    axes: int,
    vectors: Vectors | None,
    spatial: tuple[int, ...],
    size: tuple[int, int, int],
    name: str,
) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid of a volume, and remarks on it.

    Parameters
    ----------
    fields
        The fields of the header, in lower case and without spaces.
    axes
        Number of axes of the file.
    vectors
        Vectors of the axes; None if the header has none.
    spatial
        The three axes in space.
    size
        Voxels along them.
    name
        Name of the file in messages.

    Raises
    ------
    DataError
        If a field cannot be used.
    """
    _refuse_other_units(fields, spatial, name)
    if vectors is None:
        return _locate_by_spacings(fields, axes, spatial, size, name)
    matrix = _matrix([vectors[axis] or () for axis in spatial], name)
    with np.errstate(over="ignore"):
        lengths = np.sqrt(np.square(matrix) @ np.ones(3))
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise DataError(f"A space direction of {name} has no length.", _EXPORT_AGAIN)
    _refuse_other_spacings(fields, spatial, lengths, name)
    dimension = len(vectors[spatial[0]] or ())
    text = fields.get("spaceorigin", f"({','.join(['0'] * dimension)})").strip("()")
    origin = numbers(text, dimension, f"The space origin of {name}")[:3]
    signs, remarks = _orientation(fields, name)
    if "spaceorigin" not in fields:
        remarks = (*remarks, NO_ORIGIN)
    grid = grid_of_vectors(
        matrix * (1 / lengths[:, None]) * signs, lengths, (np.array(origin) * signs).tolist(), size
    )
    return grid, remarks


def _refuse_other_spacings(
    fields: Mapping[str, str], spatial: tuple[int, ...], lengths: NDArray[np.float64], name: str
) -> None:
    """Raise DataError if a header has spacings beside the space directions, and they differ."""
    words = fields.get("spacings", "").split()
    for axis, length in zip(spatial, lengths, strict=True):
        word = words[axis] if axis < len(words) else "nan"
        spacing = numbers(word, 1, f"A spacing of {name}")[0]
        if not math.isnan(spacing) and abs(spacing - length) > 0.01 * length:
            raise DataError(
                f"The spacings of {name} are not the lengths of its space directions.",
                _EXPORT_AGAIN,
            )


def _matrix(rows: list[tuple[float, ...]], name: str) -> NDArray[np.float64]:
    """Return the (3, 3) part in space of the axes' vectors, each a row."""
    lengths = {len(row) for row in rows}
    if len(lengths) > 1 or not min(lengths) >= 3 or any(any(row[3:]) for row in rows):
        raise DataError(f"The space directions of {name} are not in 3D.", _EXPORT_AGAIN)
    return np.array([row[:3] for row in rows])


def _orientation(
    fields: Mapping[str, str], name: str
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the signs that turn the file's world into LPS."""
    space = fields.get("space", "").lower()
    base = space.removesuffix("-time")
    if base not in _TO_LPS and len(base) == 4 and base.endswith("t"):  # RAST, LAST, LPST
        base = base[:-1]
    if base in _TO_LPS:
        return np.array(_TO_LPS[base], np.float64), ()
    if base and base.removesuffix("t") not in _UNORIENTED:
        raise DataError(f"{name} has the unknown space {quoted(space)}.", _EXPORT_AGAIN)
    return np.ones(3), (NO_ORIENTATION,)


def _locate_by_spacings(
    fields: Mapping[str, str],
    axes: int,
    spatial: tuple[int, ...],
    size: tuple[int, int, int],
    name: str,
) -> tuple[Grid, tuple[str, ...]]:
    """Return the grid of a file without orientation, as ITK reads it."""
    remarks = [NO_ORIENTATION]
    if "spacings" not in fields:
        remarks.append(NO_SPACING)
    ones = " ".join(["1"] * axes)
    spacings = numbers(fields.get("spacings", ones), axes, f"The spacings of {name}")
    chosen = np.array([spacings[axis] for axis in spatial])
    if "axismins" in fields:
        zeros = numbers(fields["axismins"], axes, f"The axis mins of {name}")
        origin = [zeros[axis] if math.isfinite(zeros[axis]) else 0.0 for axis in spatial]
    else:
        origin = [0.0, 0.0, 0.0]
    return grid_of_vectors(np.eye(3), chosen, origin, size), tuple(remarks)


def _refuse_other_units(fields: Mapping[str, str], spatial: tuple[int, ...], name: str) -> None:
    for field in ("spaceunits", "units"):
        units = re.findall(r'"([^"]*)"', fields.get(field, ""))
        of_space = units if field == "spaceunits" else [units[n] for n in spatial if n < len(units)]
        wrong = [
            each for each in of_space[:3] if each.lower() not in ("", "mm", "millimeters", "???")
        ]
        if wrong:
            raise DataError(
                f"{name} has the unit of length {quoted(wrong[0])}, not mm.", _EXPORT_AGAIN
            )
