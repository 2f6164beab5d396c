"""The inner and outer contours of a calibrated bundle, as one Slicer segmentation in layers.

Contours overlap, so each has a layer of its own.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from fedcross.contract.files import inner_segment, outer_segment
from fedcross.model.calibration import Calibration, Contour
from fedcross.uncertainty.contours import inner_contour, outer_contour, signed_distance
from fedcross.volumes.files.segmentation import Segment, write_layers
from fedcross.volumes.grid import Grid
from fedcross.volumes.structure import Structure

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class ContourMask:
    """One contour of one structure.

    Attributes
    ----------
    structure : Structure
        The structure.
    identifier, name : str
        Segment ID, see `fedcross.contract.files`, and name for users.
    box : tuple of slice
        Part of the grid, (z, y, x), outside of which the contour holds nothing.
    mask : NDArray
        What the contour holds, bool with the shape of `box`.
    """

    structure: Structure
    identifier: str
    name: str
    box: Box
    mask: NDArray[np.bool_]


def has_contours(calibration: Calibration) -> bool:
    """Return whether a calibration has a contour of any structure."""
    return any(structure.contours for structure in calibration.structures)


def make_contours(
    labels: NDArray[np.uint8],
    structures: Sequence[Structure],
    calibration: Calibration,
    grid: Grid,
) -> list[ContourMask]:
    """Return the calibrated contours, by structure and then from the inside to the outside.

    Parameters
    ----------
    labels
        The ensemble's label map (z, y, x) on `grid`.
    structures
        Their labels are the values in the label map. Without a voxel a structure has empty contours.
    calibration
        Calibration of the bundle.
    grid
        The input's own grid.
    """
    boxes = scipy.ndimage.find_objects(labels, max_label=255)
    made = []
    for structure in structures:
        found = calibration.of(structure.name)
        if found is None or not found.contours:
            continue
        reach = max((contour.outer or 0.0) for contour in found.contours)
        box = _widen(boxes[structure.label - 1], reach, grid)
        z, y, x = grid.spacing_mm[::-1]
        distances = signed_distance(labels[box] == structure.label, (z, y, x))
        made += [
            ContourMask(structure, identifier, f"{structure.name} ({title})", box, mask)
            for identifier, title, mask in _masks(structure, found.contours, distances)
        ]
    return made


def _masks(
    structure: Structure, contours: Sequence[Contour], distances: NDArray[np.float32]
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield segment ID, title and mask: inner contours by rising alpha, then outer by falling alpha."""
    for contour in contours:
        if contour.inner is not None:
            identifier = inner_segment(contour.alpha, structure.slug)
            mask = inner_contour(distances, contour.inner)
            yield identifier, f"inner, {contour.alpha:.0%}", mask
    for contour in reversed(contours):
        if contour.outer is not None:
            identifier = outer_segment(contour.alpha, structure.slug)
            mask = outer_contour(distances, contour.outer)
            yield identifier, f"outer, {contour.alpha:.0%}", mask


def _widen(box: Box | None, reach_mm: float, grid: Grid) -> Box:
    """Return a box with `reach_mm` and a voxel more on every side; the first voxel for None."""
    if box is None:
        return slice(0, 1), slice(0, 1), slice(0, 1)
    z, y, x = (
        slice(max(0, part.start - pad), min(side, part.stop + pad))
        for part, side, pad in zip(
            box,
            grid.shape,
            (math.ceil(reach_mm / step) + 1 for step in grid.spacing_mm[::-1]),
            strict=True,
        )
    )
    return z, y, x


def write_contours(contours: Sequence[ContourMask], grid: Grid, path: Path) -> None:
    """Write contours, cropped to the box that holds them.

    Parameters
    ----------
    contours
        At least one.
    grid
        The input's own grid.
    path
        Ends in ``.seg.nrrd``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    z, y, x = (
        slice(min(each.box[axis].start for each in contours), _end(contours, axis))
        for axis in range(3)
    )

    def slices() -> Iterator[NDArray[np.uint8]]:
        for index in range(z.start, z.stop):
            layers = np.zeros((len(contours), y.stop - y.start, x.stop - x.start), np.uint8)
            for layer, each in zip(layers, contours, strict=True):
                depth, rows, columns = each.box
                if depth.start <= index < depth.stop:
                    part = layer[
                        rows.start - y.start : rows.stop - y.start,
                        columns.start - x.start : columns.stop - x.start,
                    ]
                    part[each.mask[index - depth.start]] = each.structure.label
            yield layers

    segments = [
        Segment.of(each.structure, each.identifier, each.name, layer)
        for layer, each in enumerate(contours)
    ]
    write_layers(slices, segments, grid, (z, y, x), path)


def _end(contours: Sequence[ContourMask], axis: int) -> int:
    return max(int(each.box[axis].stop) for each in contours)
