"""Read the headers of DICOM files with pydicom: only known elements, bounded, and checked.

A header may be damaged or hostile. Whatever cannot be read raises `Unreadable` of
`fedcross.volumes.files.dicom.elements`.
"""

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial

from fedcross.volumes.files.dicom.elements import Unreadable, reading

PIXEL_GROUP = 0x7FE0
MAX_ELEMENTS = 20_000
"""Elements on the top level of one file; scanners write some hundreds."""
MAX_INFLATED_BYTES = 2**28
"""Size of a deflated file after decompression."""

_LARGEST_GUESS = 0x0018  # headers without a preamble begin with a small element of group 2 or 8
_KEYWORDS = (
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "StudyInstanceUID",
    "AcquisitionNumber",
    "InstanceNumber",
    "SeriesNumber",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "EchoNumbers",
    "EchoTime",
    "InversionTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "StackID",
    "KVP",
    "ConvolutionKernel",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelSpacing",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
IMAGES_IN_MOSAIC = 0x0019100A
"""Private element of Siemens MR."""
_WANTED = [*(cast(int, tag_for_keyword(keyword)) for keyword in _KEYWORDS), IMAGES_IN_MOSAIC]


class _Bounded:
    """A binary file for pydicom that never gives more bytes than a limit, nor allocates them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        file.seek(0)
        self.seek, self.tell = file.seek, file.tell
        self.name = ""

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        if count >= 0:
            return self._file.read(min(count, left))
        data = self._file.read(left)  # pydicom reads to the end only to inflate a deflated file
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_INFLATED_BYTES)
        if len(inflated) == MAX_INFLATED_BYTES:
            raise Unreadable("it is too large when it is decompressed")
        return data


def is_dicom(path: Path) -> bool:
    """Whether a file begins as a DICOM file does, with or without a preamble.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":
        return True
    if len(start) < 8:
        return False
    group, element = struct.unpack("<HH", start[:4])
    return group in (2, 8) and element <= _LARGEST_GUESS


def read_header(path: Path) -> FileDataset:
    """Read the known elements of a file before its pixel data.

    Raises
    ------
    Unreadable
        If it is not a complete DICOM header, or has too many elements.
    """
    return _read(path, _WANTED, stop_before_pixels=True)


def read_whole_header(path: Path) -> FileDataset:
    """Read all elements of a file before its pixel data; their text is decoded.

    Raises
    ------
    Unreadable
        If it is not a complete DICOM header, or has too many elements.
    """
    header = _read(path, None, stop_before_pixels=True)
    with reading(""):
        header.decode()
    return header


def read_pixel_data(path: Path) -> tuple[bytes, bool]:
    """Read the pixel data of a file, and whether they are encapsulated (compressed).

    Raises
    ------
    Unreadable
        If there are none, or fewer than their header says.
    """
    tag = cast(int, tag_for_keyword("PixelData"))
    dataset = _read(path, [tag], stop_before_pixels=False)
    with reading(""):
        element = dataset.get_item(tag) if tag in dataset else None
        value = getattr(element, "value", None)
        if not isinstance(value, bytes):
            raise Unreadable("it has no pixel data")
        length = getattr(element, "length", len(value))
    if length != 0xFFFFFFFF and len(value) < length:
        raise Unreadable("it is cut short")
    return value, length == 0xFFFFFFFF


def _read(path: Path, tags: list[int] | None, *, stop_before_pixels: bool) -> FileDataset:
    seen = 0

    def stop(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal seen
        seen += 1
        if seen > MAX_ELEMENTS:
            raise Unreadable(f"it has more than {MAX_ELEMENTS} elements")
        return stop_before_pixels and tag >> 16 >= PIXEL_GROUP

    with reading(""), path.open("rb") as file:
        bounded = cast(BinaryIO, _Bounded(file))
        return read_partial(bounded, stop, force=True, specific_tags=cast(Any, tags))
