"""Write label maps as 3D Slicer's segmentation file (``.seg.nrrd``).

The NRRD header holds names, colours and coded terms under the keys that Slicer's segmentation storage
reads. Colours are (red, green, blue), each from 0 to 1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.contract.plain_text import plain_text
from fedcross.volumes.files.nrrd import write_layered
from fedcross.volumes.files.write import write_volume
from fedcross.volumes.grid import Grid
from fedcross.volumes.structure import Code, Structure

_BINARY_LABELMAP = "Binary labelmap"
_CATEGORIES = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Segment:
    """One segment: all voxels with one label in one layer.

    Attributes
    ----------
    identifier : str
        Segment ID, unique in the file.
    name : str
        Name shown to users.
    label : int
        Value of the segment's voxels, 1 to 255.
    layer : int
        Index of the layer, from 0.
    color : tuple of float
        (red, green, blue), each from 0 to 1.
    terminology : str
        Slicer's terminology entry.
    """

    identifier: str
    name: str
    label: int
    layer: int
    color: tuple[float, float, float]
    terminology: str

    @classmethod
    def of(cls, structure: Structure, identifier: str, name: str, layer: int) -> "Segment":
        """Return a segment with the label, colour and codes of `structure`; the name becomes plain."""
        entry = _terminology(structure)
        return cls(identifier, plain_text(name), structure.label, layer, structure.color, entry)


def write_segmentation(labels: sitk.Image, structures: Sequence[Structure], path: Path) -> None:
    """Write a label map as a segmentation with one segment for each structure.

    The file is written under a temporary name and renamed, so a partial file never has the final name.

    Parameters
    ----------
    labels
        uint8 label map. A structure that does not occur becomes an empty segment.
    structures
        Structures whose labels are the values in `labels`.
    path
        File to write; ends in ``.seg.nrrd``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    segments = [
        Segment.of(structure, structure.slug, structure.name, layer=0) for structure in structures
    ]
    voxels = sitk.GetArrayViewFromImage(labels)
    extents = [_Extent(*voxels.shape) for _ in segments]
    for z, plane in enumerate(voxels):
        for segment, extent in zip(segments, extents, strict=True):
            extent.add(z, plane == segment.label)
    image = sitk.Image(labels)  # a copy, so that the caller's image gets no header entries
    fields = _header_fields(segments, [extent.text for extent in extents], (0, 0, 0))
    for key, value in fields.items():
        image.SetMetaData(key, value)
    write_volume(image, path)


def write_layers(
    slices: Callable[[], Iterable[NDArray[np.uint8]]],
    segments: Sequence[Segment],
    grid: Grid,
    box: tuple[slice, slice, slice],
    path: Path,
) -> None:
    """Write segments that may overlap, in several layers; each layer is a label map.

    Parameters
    ----------
    slices
        Returns the slices z of `box` in order, each uint8 (L, y, x) with all layers. It is called
        twice, because the extents of the segments precede the voxels in the file.
    segments
        Segments of all layers, at least one.
    grid
        Reference grid, on which Slicer shows the segmentation.
    box
        Part of `grid` that the layers cover, as slices (z, y, x).
    path
        File to write; ends in ``.seg.nrrd``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    depth, height, width = (part.stop - part.start for part in box)
    extents = [_Extent(depth, height, width) for _ in segments]
    for index, layered in enumerate(slices()):
        for segment, extent in zip(segments, extents, strict=True):
            extent.add(index, layered[segment.layer] == segment.label)
    offset = (box[2].start, box[1].start, box[0].start)
    origin = (grid.index_to_world @ (*offset, 1))[:3]
    x, y, z = (float(value) for value in origin)
    part = replace(grid, size=(width, height, depth), origin_mm=(x, y, z))
    fields = _header_fields(segments, [extent.text for extent in extents], offset)
    layers = max(segment.layer for segment in segments) + 1
    write_layered(slices(), layers, part, fields, path)


class _Extent:
    """Bounding box of a mask whose slices are added one by one."""

    def __init__(self, depth: int, height: int, width: int) -> None:
        self._axes = [np.zeros(side, np.bool_) for side in (width, height, depth)]

    def add(self, z: int, mask: NDArray[np.bool_]) -> None:
        """Add slice z of the mask, bool (y, x)."""
        columns = mask.any(axis=0)
        if columns.any():
            x, y, depth = self._axes
            x |= columns
            y |= mask.any(axis=1)
            depth[z] = True

    @property
    def text(self) -> str:
        """Slicer's format: first and last index along x, y, z; "0 -1" for each axis if empty."""
        bounds = []
        for found in map(np.flatnonzero, self._axes):
            bounds += [int(found[0]), int(found[-1])] if found.size else [0, -1]
        return " ".join(str(bound) for bound in bounds)


def _header_fields(
    segments: Sequence[Segment], extents: Sequence[str], offset: tuple[int, int, int]
) -> dict[str, str]:
    """Return the header fields that Slicer reads; `offset` is (x, y, z) in the reference grid."""
    fields = {
        "Segmentation_ContainedRepresentationNames": f"{_BINARY_LABELMAP}|",
        "Segmentation_ConversionParameters": "",
        "Segmentation_MasterRepresentation": _BINARY_LABELMAP,
        "Segmentation_SourceRepresentation": _BINARY_LABELMAP,
        "Segmentation_ReferenceImageExtentOffset": " ".join(str(side) for side in offset),
    }
    for index, (segment, extent) in enumerate(zip(segments, extents, strict=True)):
        for key, value in _segment_fields(segment, extent).items():
            fields[f"Segment{index}_{key}"] = value
    return fields


def _segment_fields(segment: Segment, extent: str) -> dict[str, str]:
    return {
        "ID": segment.identifier,
        "Name": segment.name,
        "NameAutoGenerated": "0",
        "Color": " ".join(f"{channel:.6g}" for channel in segment.color),
        "ColorAutoGenerated": "0",
        "LabelValue": str(segment.label),
        "Layer": str(segment.layer),
        "Extent": extent,
        "Tags": f"TerminologyEntry:{segment.terminology}|",
    }


def _terminology(structure: Structure) -> str:
    """Return Slicer's terminology entry: category, type, no modifier, no anatomic region."""
    none = "^^"
    return "~".join(
        (
            _CATEGORIES,
            _format_code(structure.category),
            _format_code(structure.type),
            none,
            _REGIONS,
            none,
            none,
        )
    )


def _format_code(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"
