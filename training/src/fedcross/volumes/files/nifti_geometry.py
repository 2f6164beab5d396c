"""The position of a NIfTI volume: qform and sform, in the order of ITK and 3D Slicer.

The formulas are those of the standard (nifti1.h, https://nifti.nimh.nih.gov). Which transform counts is
what ITK's reader does, so that a result lies where 3D Slicer shows the volume.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.files.checks import MAX_SHEAR, check_spacing
from fedcross.volumes.files.nifti_header import NIFTI1_BYTES, NiftiHeader
from fedcross.volumes.files.stored import NO_ORIENTATION
from fedcross.volumes.grid import Grid

_SCANNER = 1
_LAST_CODE = 5
_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unit code to mm: unknown, metre, mm, micrometre
_LPS = np.array([-1.0, -1.0, 1.0])  # from NIfTI's axes right, anterior, superior
_SPACING_TOLERANCE = 0.01
"""Largest relative difference between the spacing and the lengths of the sform's columns. Rounding to
three digits gives 0.001; a change of 1 % in one side changes every volume in mL by 1 %."""
_ORIENTATION = (
    "Correct its header with a program that shows the orientation, for example 3D Slicer."
)


class Position(NamedTuple):
    """Where a volume lies, and what should be said about it.

    Attributes
    ----------
    grid : Grid
        World LPS in mm.
    remarks : tuple of str
        One sentence each.
    """

    grid: Grid
    remarks: tuple[str, ...] = ()


def locate(header: NiftiHeader, size: tuple[int, int, int], name: str) -> Position:
    """Return the position of a volume.

    The sform counts if its code is 1 (scanner) or there is no qform, else the qform. Axes that are not
    quite at right angles (cosine below `MAX_SHEAR`) are replaced by the nearest rotation, as ITK does.

    Parameters
    ----------
    header
        The parsed header.
    size
        Voxels along x, y, z.
    name
        Name of the file in messages.

    Raises
    ------
    DataError
        If a number is not usable, the axes are sheared, the sform has another spacing than the header,
        or qform and sform disagree about the sides of the patient.
    """
    unit = _MM.get(header.units)
    if unit is None:
        raise DataError(f"{name} declares the unit of length {header.units}, which NIfTI lacks.")
    spacing = header.pixdim[1:4]
    check_spacing((spacing * unit).tolist(), name)
    for what, code in (("qform", header.qform_code), ("sform", header.sform_code)):
        if not 0 <= code <= _LAST_CODE:
            raise DataError(f"The code of the {what} of {name} is {code}, which NIfTI lacks.")
    qform = _qform(header, name) if header.qform_code else None
    sform = _sform(header, name) if header.sform_code else None
    if sform is not None and (qform is None or header.sform_code == _SCANNER):
        _check_lengths(sform, spacing, name)
        remarks = _differences("sform", sform, "qform", qform, size, name)
        return Position(_grid(sform, spacing * unit, unit, size, name), remarks)
    if qform is not None:
        remarks = _differences("qform", qform, "sform", sform, size, name)
        return Position(_grid(qform, spacing * unit, unit, size, name), remarks)
    x, y, z = (float(side) for side in spacing * unit)
    grid = Grid(size, (x, y, z), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel().tolist()))
    return Position(grid, (NO_ORIENTATION,))


def _qform(header: NiftiHeader, name: str) -> NDArray[np.float64]:
    """Return the (4, 4) matrix from voxel index to right, anterior, superior, in the header's unit."""
    b, c, d = (float(value) for value in header.quaternion)
    square = b * b + c * c + d * d
    if not square <= 1 + MAX_SHEAR:  # also refuses NaN
        raise DataError(f"The qform of {name} is not a rotation.", _ORIENTATION)
    if header.pixdim[0] not in (-1, 0, 1):
        raise DataError(
            f"The qform of {name} has qfac {header.pixdim[0]:.4g}, not 1 or -1.", _ORIENTATION
        )
    length = max(1.0, square) ** 0.5  # above 1 by rounding
    b, c, d = b / length, c / length, d / length
    rest = 1 - (b * b + c * c + d * d)
    stored = np.float32 if header.length == NIFTI1_BYTES else np.float64
    a = rest**0.5 if rest > 3 * np.finfo(stored).eps else 0.0  # below it, rounding of b, c and d
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    qfac = -1.0 if header.pixdim[0] == -1 else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * (header.pixdim[1:4] * [1.0, 1.0, qfac])
    matrix[:3, 3] = header.qoffset
    return _finite(matrix, "qform", name)


def _sform(header: NiftiHeader, name: str) -> NDArray[np.float64]:
    return _finite(np.vstack([header.srow, [0.0, 0.0, 0.0, 1.0]]), "sform", name)


def _finite(matrix: NDArray[np.float64], what: str, name: str) -> NDArray[np.float64]:
    if not (np.isfinite(matrix).all() and np.abs(matrix).max() < 1e12):
        raise DataError(f"The {what} of {name} has numbers that are not finite.", _ORIENTATION)
    if not np.linalg.norm(matrix[:3, :3], axis=0).all():
        raise DataError(f"The {what} of {name} has an axis of length 0.", _ORIENTATION)
    return matrix


def _check_lengths(sform: NDArray[np.float64], spacing: NDArray[np.float64], name: str) -> None:
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    if np.abs(lengths / spacing - 1).max() > _SPACING_TOLERANCE:
        ours, theirs = (" x ".join(f"{side:.4g}" for side in each) for each in (lengths, spacing))
        raise DataError(
            f"The voxels of {name} measure {ours} in its sform, but {theirs} in its pixdim.",
            "Correct its header, or export it again.",
        )


def _unit_axes(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = matrix[:3, :3]
    return np.asarray(columns / np.linalg.norm(columns, axis=0))


def _differences(
    counts: str,
    matrix: NDArray[np.float64],
    other: str,
    others: NDArray[np.float64] | None,
    size: tuple[int, int, int],
    name: str,
) -> tuple[str, ...]:
    """Return what to say about a second transform that differs by half a voxel or more."""
    if others is None:
        return ()
    ours, theirs = _unit_axes(matrix), _unit_axes(others)
    sides = np.abs(ours).argmax(axis=0), np.abs(theirs).argmax(axis=0)
    if not np.array_equal(*sides) or any(
        ours[side, axis] * theirs[side, axis] < 0 for axis, side in enumerate(sides[0])
    ):
        raise DataError(
            f"The qform and the sform of {name} disagree about the sides of the patient.",
            _ORIENTATION,
        )
    corners = np.array(list(itertools.product(*((0, count - 1) for count in size))))
    moved = (matrix - others) @ np.c_[corners, np.ones(8)].T
    distance = float(np.linalg.norm(moved[:3], axis=0).max())
    if distance < 0.5 * np.linalg.norm(matrix[:3, :3], axis=0).min():
        return ()
    return (
        f"The {counts} of the header counts; its {other} differs from it by up to {distance:.3g} mm.",
    )


def _grid(
    matrix: NDArray[np.float64],
    spacing_mm: NDArray[np.float64],
    unit: float,
    size: tuple[int, int, int],
    name: str,
) -> Grid:
    axes = _unit_axes(matrix)
    off = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if not off < MAX_SHEAR:
        raise DataError(
            f"The axes of {name} are not at right angles (cosine {off:.3g}).",
            "Resample it to a box.",
        )
    left, _, right = np.linalg.svd(axes)
    rotation = _LPS[:, None] * (left @ right)  # the nearest matrix with axes at right angles
    x, y, z = (float(side) for side in spacing_mm)
    i, j, k = (float(place) for place in _LPS * matrix[:3, 3] * unit)
    return Grid(size, (x, y, z), (i, j, k), tuple(rotation.ravel().tolist()))
