"""Write label maps as 3D Slicer's own segmentation file (``.seg.nrrd``).

Names, colours and coded terms lie in the NRRD header under the keys that Slicer's segmentation storage
reads. Colours are red, green, blue in 0..1.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.volumes.grid import Grid
from fedcross.volumes.nrrd import write_layered
from fedcross.volumes.structure import Code, Structure
from fedcross.volumes.volume_io import write_volume

_BINARY_LABELMAP = "Binary labelmap"
_CATEGORIES = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Segment:
    """One segment: the voxels of one layer that have one label.

    Attributes
    ----------
    identifier, name
        For programs and for people.
    label, layer
        Its value, and in which layer.
    color : tuple of float
        Red, green, blue in 0..1.
    terminology
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
        """Make a segment that means `structure`."""
        entry = _terminology(structure)
        return cls(identifier, name, structure.label, layer, structure.color, entry)


def write_segmentation(labels: sitk.Image, structures: Sequence[Structure], path: Path) -> None:
    """Write `labels` as a segmentation with one segment a structure; whole or not at all.

    Parameters
    ----------
    labels
        uint8 label map. A structure that does not occur becomes an empty segment.
    structures
        Their labels are the values in `labels`.
    path
        Ends in ``.seg.nrrd``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    segments = [
        Segment.of(structure, structure.slug, structure.name, layer=0) for structure in structures
    ]
    voxels = sitk.GetArrayViewFromImage(labels)
    hits = [_Hits(*voxels.shape) for _ in segments]
    for z, plane in enumerate(voxels):
        for segment, hit in zip(segments, hits, strict=True):
            hit.add(z, plane == segment.label)
    image = sitk.Image(labels)  # the header entries go into a copy
    for key, value in _fields(segments, [hit.extent for hit in hits], (0, 0, 0)).items():
        image.SetMetaData(key, value)
    write_volume(image, path)


def write_layers(
    slices: Callable[[], Iterable[NDArray[np.uint8]]],
    segments: Sequence[Segment],
    grid: Grid,
    box: tuple[slice, slice, slice],
    path: Path,
) -> None:
    """Write segments that may overlap, in layers of which each is a label map.

    Parameters
    ----------
    slices
        Gives slice after slice of `box`, uint8 (L, y, x): all layers of each. Asked for twice: where
        segments begin and end is said before their voxels.
    segments
        Each in one of the layers.
    grid
        The grid that the layers are a part of, and that Slicer shows them on.
    box
        Which part, as slices (z, y, x).
    path
        Ends in ``.seg.nrrd``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    depth, height, width = (part.stop - part.start for part in box)
    hits = [_Hits(depth, height, width) for _ in segments]
    for index, layered in enumerate(slices()):
        for segment, hit in zip(segments, hits, strict=True):
            hit.add(index, layered[segment.layer] == segment.label)
    offset = (box[2].start, box[1].start, box[0].start)
    origin = (grid.index_to_world @ (*offset, 1))[:3]
    x, y, z = (float(value) for value in origin)
    part = replace(grid, size=(width, height, depth), origin_mm=(x, y, z))
    fields = _fields(segments, [hit.extent for hit in hits], offset)
    layers = max(segment.layer for segment in segments) + 1
    write_layered(slices(), layers, part, fields, path)


class _Hits:
    """Which slices, rows and columns of a mask hold anything; it comes slice by slice."""

    def __init__(self, depth: int, height: int, width: int) -> None:
        self._axes = [np.zeros(side, np.bool_) for side in (width, height, depth)]

    def add(self, z: int, mask: NDArray[np.bool_]) -> None:
        """Take in slice z, (y, x)."""
        columns = mask.any(axis=0)
        if columns.any():
            x, y, depth = self._axes
            x |= columns
            y |= mask.any(axis=1)
            depth[z] = True

    @property
    def extent(self) -> str:
        """The box around the mask as Slicer writes it: first and last x, y, z."""
        bounds = []
        for hit in map(np.flatnonzero, self._axes):
            bounds += [int(hit[0]), int(hit[-1])] if hit.size else [0, -1]
        return " ".join(str(bound) for bound in bounds)


def _fields(
    segments: Sequence[Segment], extents: Sequence[str], offset: tuple[int, int, int]
) -> dict[str, str]:
    """Return what Slicer needs to find in the file's header."""
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
            _coded(structure.category),
            _coded(structure.type),
            none,
            _REGIONS,
            none,
            none,
        )
    )


def _coded(code: Code) -> str:
    return f"{code.scheme}^{code.value}^{code.meaning}"
