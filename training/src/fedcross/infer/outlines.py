"""What each member says, and what all or any of them say, as one layered Slicer segmentation.

Made to be drawn as outlines. Layer k of the file is member k's label map; then comes one layer with
what all members agree on and, for each structure, one with what any member says: these may overlap.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.geometry import Grid
from fedcross.infer.segmentation_io import Segment, write_layers
from fedcross.model.manifest import Structure

Labels = NDArray[np.uint8]


def write_outlines(
    member_labels: Sequence[Labels], structures: Sequence[Structure], grid: Grid, path: Path
) -> None:
    """Write the outlines, cropped to the box that holds anything.

    Parameters
    ----------
    member_labels
        Label maps (z, y, x) on `grid`, at least one; may be memory-mapped. Only the box around what
        the members found is brought into memory.
    structures
        Their labels are the values in the label maps.
    grid
        The input's own.
    path
        Ends in ``.seg.nrrd``. The segments are named ``member_<k>_<structure>``,
        ``intersection_<structure>`` and ``union_<structure>``; where nothing was found they are empty.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    box = _common_box(member_labels)
    members = [np.array(labels[box]) for labels in member_labels]
    layers, segments = list(members), []
    for index in range(len(members)):
        for structure in structures:
            segments.append(
                Segment.of(
                    structure,
                    f"member_{index}_{structure.slug}",
                    f"{structure.name} (member {index + 1})",
                    layer=index,
                )
            )
    same = np.logical_and.reduce([labels == members[0] for labels in members])
    layers.append(np.where(same, members[0], np.uint8(0)))
    for structure in structures:
        name = f"intersection_{structure.slug}"
        segments.append(
            Segment.of(structure, name, f"{structure.name} (all members)", layer=len(members))
        )
    for structure in structures:
        any_of = np.logical_or.reduce([labels == structure.label for labels in members])
        name = f"union_{structure.slug}"
        segments.append(
            Segment.of(structure, name, f"{structure.name} (any member)", layer=len(layers))
        )
        layers.append(any_of.astype(np.uint8) * np.uint8(structure.label))
    write_layers(layers, segments, grid, box, path)


def _common_box(member_labels: Sequence[Labels]) -> tuple[slice, slice, slice]:
    """The box around everything that any member found, (z, y, x); one voxel if nobody found any."""
    hit = [np.zeros(side, dtype=np.bool_) for side in member_labels[0].shape]
    for labels in member_labels:
        for z, plane in enumerate(labels):  # plane by plane: the maps may be larger than memory
            if plane.any():
                hit[0][z] = True
                hit[1] |= plane.any(axis=1)
                hit[2] |= plane.any(axis=0)
    if not hit[0].any():
        return slice(0, 1), slice(0, 1), slice(0, 1)
    first_z, first_y, first_x = (int(axis.argmax()) for axis in hit)
    end_z, end_y, end_x = (len(axis) - int(axis[::-1].argmax()) for axis in hit)
    return slice(first_z, end_z), slice(first_y, end_y), slice(first_x, end_x)
