"""Each member's segmentation, their intersection and their union, as one Slicer segmentation in layers.

A viewer draws its outlines. Layer k of the file is member k's label map. One layer with the intersection
follows, and for each structure one layer with the union of the members: unions may overlap.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.files import intersection_segment, member_segment, union_segment
from fedcross.uncertainty.agreement import LabelMap
from fedcross.volumes.grid import Grid
from fedcross.volumes.segmentation_io import Segment, write_layers
from fedcross.volumes.structure import Structure


def write_outlines(
    member_labels: Sequence[LabelMap], structures: Sequence[Structure], grid: Grid, path: Path
) -> None:
    """Write the outlines, cropped to the box that holds anything.

    Parameters
    ----------
    member_labels
        Label maps (z, y, x) on `grid`, at least one; read twice, one slice of each at a time.
    structures
        Their labels are the values in the label maps.
    grid
        The input's own grid.
    path
        Ends in ``.seg.nrrd``. The segment IDs are those of `fedcross.contract.files`. A segment of a
        structure that was not found is empty.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    box = _common_box(member_labels)
    labels = [structure.label for structure in structures]

    def slices() -> Iterator[NDArray[np.uint8]]:
        depth, *sides = box
        for z in range(depth.start, depth.stop):
            yield _layers([member[z][*sides] for member in member_labels], labels)

    write_layers(slices, _segments(len(member_labels), structures), grid, box, path)


def _segments(members: int, structures: Sequence[Structure]) -> list[Segment]:
    """Return the segments in the layers that `_layers` returns."""
    segments = [
        Segment.of(
            structure,
            member_segment(index, structure.slug),
            f"{structure.name} (member {index + 1})",
            layer=index,
        )
        for index in range(members)
        for structure in structures
    ]
    for structure in structures:
        identifier = intersection_segment(structure.slug)
        title = f"{structure.name} (all members)"
        segments.append(Segment.of(structure, identifier, title, layer=members))
    for layer, structure in enumerate(structures, members + 1):
        identifier = union_segment(structure.slug)
        title = f"{structure.name} (any member)"
        segments.append(Segment.of(structure, identifier, title, layer=layer))
    return segments


def _layers(members: Sequence[NDArray[np.uint8]], labels: Sequence[int]) -> NDArray[np.uint8]:
    """Return the layers (K + 1 + structures, y, x) of one slice of the members' label maps."""
    same = np.logical_and.reduce([member == members[0] for member in members])
    layers = [*members, np.where(same, members[0], np.uint8(0))]
    for label in labels:
        any_of = np.logical_or.reduce([member == label for member in members])
        layers.append(any_of.astype(np.uint8) * np.uint8(label))
    return np.stack(layers)


def _common_box(member_labels: Sequence[LabelMap]) -> tuple[slice, slice, slice]:
    """Return the box around all that any member found, (z, y, x); the first voxel if that is nothing."""
    hit = [np.zeros(side, dtype=np.bool_) for side in member_labels[0].shape]
    for labels in member_labels:
        for z in range(len(hit[0])):
            plane = labels[z]
            if plane.any():
                hit[0][z] = True
                hit[1] |= plane.any(axis=1)
                hit[2] |= plane.any(axis=0)
    if not hit[0].any():
        return slice(0, 1), slice(0, 1), slice(0, 1)
    first_z, first_y, first_x = (int(axis.argmax()) for axis in hit)
    end_z, end_y, end_x = (len(axis) - int(axis[::-1].argmax()) for axis in hit)
    return slice(first_z, end_z), slice(first_y, end_y), slice(first_x, end_x)
