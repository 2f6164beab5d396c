"""Read the headers of DICOM files with pydicom: only known elements, bounded, and checked.

A header may be damaged or hostile. Whatever cannot be read raises `Unreadable`, which the callers turn
into a `DataError` with the name of the file.
"""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from warnings import catch_warnings, simplefilter

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

PIXEL_GROUP = 0x7FE0
MAX_ELEMENTS = 20_000
"""Elements on the top level of one file; scanners write some hundreds."""
MAX_INFLATED_BYTES = 2**28
"""Size of a deflated file after decompression."""
MAX_TEXT = 64
MAX_VALUE = 1024
MAX_NUMBER = 1e9

_LARGEST_GUESS = 0x0018  # headers without a preamble begin with a small element of group 2 or 8
_KEYWORDS = (
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
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
_ERRORS = (
    AttributeError,
    AssertionError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the standard library raise for damaged files, beside OSError."""


class Unreadable(Exception):  # noqa: N818 - it is always turned into a DataError
    """A DICOM file or one of its values cannot be read; the message says why and may be empty."""


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


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn every error of pydicom inside the context into `Unreadable`; hide its warnings."""
    with catch_warnings():
        simplefilter("ignore")
        try:
            yield
        except OSError as error:
            raise Unreadable(error.strerror or "") from error
        except _ERRORS as error:
            raise Unreadable(what) from error


def _read(path: Path, tags: list[int], *, stop_before_pixels: bool) -> FileDataset:
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


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an element's `count` finite numbers; None if it is missing or empty.

    Raises
    ------
    Unreadable
        If it holds something else.
    """
    wrong = f"its {keyword} cannot be read"
    with reading(wrong):
        value = dataset.get(keyword)
        if value is None or value == "" or (isinstance(value, MultiValue | list) and not value):
            return None
        listed = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        found = tuple(float(each) for each in listed)
    if len(found) != count or not all(math.isfinite(n) and abs(n) <= MAX_NUMBER for n in found):
        raise Unreadable(wrong)
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return an element's single finite number; None if it is missing or empty."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def whole(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an element's whole number.

    Raises
    ------
    Unreadable
        If it holds something else, or is missing and has no default.
    """
    found = number(dataset, keyword)
    if found is None and default is not None:
        return default
    if found is None or found != int(found):
        raise Unreadable(f"its {keyword} is {'missing' if found is None else 'no whole number'}")
    return int(found)


def text(dataset: Dataset, keyword: str) -> str:
    r"""Return an element's text, several values joined by ``\``; empty if it is missing."""
    with reading(f"its {keyword} cannot be read"):
        value = dataset.get(keyword)
        if value is None:
            return ""
        listed = value if isinstance(value, MultiValue | list | tuple) else [value]
        return printable("\\".join(str(each) for each in listed).strip(), MAX_VALUE)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; an empty list if it is missing."""
    with reading(f"its {keyword} cannot be read"):
        value = dataset.get(keyword)
    if value is None:
        return []
    if not isinstance(value, Sequence):
        raise Unreadable(f"its {keyword} is no sequence")
    return list(value)


def name_of_uid(uid: str) -> str:
    """Return the name of a UID of the standard; empty for another UID."""
    with reading("one of its UIDs cannot be read"):
        name = UID(uid).name
    return "" if name == uid else name


def printable(value: str, limit: int = MAX_TEXT) -> str:
    """Return a text without control characters and bidirectional overrides, cut to `limit`."""
    shown = "".join(each if each.isprintable() else "?" for each in value)
    return shown if len(shown) <= limit else shown[:limit] + "..."


def describe_damage(damaged: Mapping[Path, str]) -> str:
    """Say how many files are unreadable, which is the first, and why if that is known."""
    first = min(damaged)
    why = f" ({damaged[first]})" if damaged[first] else ""
    return f"unreadable files ({len(damaged)}); the first is {printable(first.name)}{why}."
