"""The grid of a stack of slices; a stack that is no box is refused with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME
from fedcross.volumes.files.dicom.frames import Frame
from fedcross.volumes.files.dicom.grouping import EVEN, deviation, has_same_places, offsets_mm

EXPORT = "Export the whole series again."
BOX = "Resample it to a box."
MAX_SHEAR = 0.01
"""Largest difference of the lengths of the axes from 1 and of the cosine between them from 0."""
SPACING_MM = (1e-3, 1e3)
MAX_POSITION_MM = 1e6

_MOST = 2 / 3


@dataclass(frozen=True)
class StackGrid:
    """The grid of a stack, as SimpleITK wants it: axes (x, y, z) = (column, row, slice), LPS, mm.

    Attributes
    ----------
    size : tuple of int
        Voxels along the axes.
    spacing_mm, origin_mm : tuple of float
        Distance between voxels; centre of the first voxel.
    direction : tuple of float
        3 x 3 matrix row by row, its columns are the unit vectors of the axes.
    """

    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, ...]
    direction: tuple[float, ...]


def stack_grid(frames: Sequence[Frame], name: str) -> StackGrid:
    """Return the grid of slices that are sorted along their normal.

    Parameters
    ----------
    frames
        Slices of one orientation and matrix, at least one.
    name
        Name of the volume in messages.

    Raises
    ------
    DataError
        If slices have no place, lie at the same place, unevenly or not straight above each other, or
        their axes or spacing are impossible.
    """
    first = frames[0]
    missing = [
        what
        for what, value in (
            ("position", first.position_mm),
            ("orientation", first.orientation),
            ("pixel spacing", first.spacing_mm),
        )
        if value is None
    ]
    if missing or first.orientation is None or first.spacing_mm is None:
        raise DataError(
            f"{name} has no {' and no '.join(missing)} for each of its {len(frames)} slices, so that "
            "their place is unknown.",
            "Export it as one file for each slice, or as enhanced DICOM.",
        )
    direction = _direction(first.orientation, name)
    between_mm = _slice_distance(frames, name)
    spacing = (first.spacing_mm[1], first.spacing_mm[0], between_mm)
    if not all(SPACING_MM[0] <= each <= SPACING_MM[1] for each in spacing):
        shown = " x ".join(f"{each:.3g}" for each in spacing)
        raise DataError(f"{name} has an impossible spacing of {shown} mm.", EXPORT)
    positions = np.array([frame.position_mm for frame in frames])
    if np.abs(positions).max() > MAX_POSITION_MM:
        raise DataError(f"{name} lies more than {MAX_POSITION_MM / 1e6:g} km away.", EXPORT)
    _check_straight(positions, direction[:, 2], min(spacing[:2]), name)
    return StackGrid(
        (first.file.columns, first.file.rows, len(frames)),
        spacing,
        tuple(positions[0].tolist()),
        tuple(direction.ravel().tolist()),
    )


def _direction(orientation: tuple[float, ...], name: str) -> NDArray[np.float64]:
    """Unit vectors (3, 3) of column, row and slice as columns; rounding is corrected."""
    axes = np.array(orientation).reshape(2, 3)
    off = float(np.abs(axes @ axes.T - np.eye(2)).max())
    if not off <= MAX_SHEAR:
        raise DataError(
            f"The axes of {name} are not at right angles, or no unit vectors (off by {off:.3g}).",
            BOX,
        )
    along = axes[0] / np.linalg.norm(axes[0])
    down = axes[1] - along * (axes[1] @ along)
    down /= np.linalg.norm(down)
    return np.stack([along, down, np.cross(along, down)], axis=1)


def _slice_distance(frames: Sequence[Frame], name: str) -> float:
    """The mean distance of the slices; that in the header if there is only one slice."""
    if len(frames) == 1:
        if frames[0].thickness_mm is None:
            raise DataError(
                f"{name} has one slice and no slice thickness, so that its volume is unknown.",
                EXPORT,
            )
        return frames[0].thickness_mm
    offsets = offsets_mm(frames)
    steps = np.diff(offsets)
    if has_same_places(offsets):
        k = int(np.argmin(steps))
        files = [plain_text(frame.file.path.name, MAX_NAME) for frame in frames[k : k + 2]]
        which = f"{files[0]} and {files[1]}" if files[0] != files[1] else f"frames of {files[0]}"
        raise DataError(
            f"The slices of {name} hold several pictures of one place (such as {which}), and nothing "
            "in their headers tells the volumes apart.",
            "Export one volume.",
        )
    if deviation(offsets) > EVEN:
        gap = _has_gaps(steps)
        reason = "some are missing" if gap else "they are not evenly stacked"
        raise DataError(
            f"The slices of {name} lie {steps.min():.3g} to {steps.max():.3g} mm apart: {reason}.",
            EXPORT if gap else BOX,
        )
    ends = np.array([frames[0].position_mm, frames[-1].position_mm])
    return float(np.linalg.norm(ends[1] - ends[0])) / (len(frames) - 1)


def _has_gaps(steps: NDArray[np.float64]) -> bool:
    """Whether most steps are equal and the others are multiples of them."""
    in_steps = steps / np.median(steps)
    whole = np.abs(in_steps - np.round(in_steps)) <= EVEN * np.round(in_steps)
    return bool(whole.all()) and float(np.mean(np.round(in_steps) == 1)) >= _MOST


def _check_straight(
    positions: NDArray[np.float64], normal: NDArray[np.float64], pixel_mm: float, name: str
) -> None:
    """Refuse slices that are shifted by more than half a pixel against the first one."""
    moved = positions - positions[0]
    aside = np.linalg.norm(moved - np.outer(moved @ normal, normal), axis=1)
    worst = int(np.argmax(aside))
    if aside[worst] > pixel_mm / 2:
        which = "the last one" if worst == len(aside) - 1 else f"slice {worst + 1}"
        raise DataError(
            f"The slices of {name} are not stacked straight: {which} lies {aside[worst]:.3g} mm aside "
            "(a tilted gantry?).",
            BOX,
        )
