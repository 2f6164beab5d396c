"""The frames of DICOM image files: where each one lies, how it is stored, what distinguishes it.

A classic file holds one frame and describes it on its top level. An enhanced multi-frame file describes
each frame by functional groups, DICOM PS3.3 C.7.6.16: those of the frame, or those that all share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.volumes.files.dicom.header import (
    IMAGES_IN_MOSAIC,
    Unreadable,
    items,
    name_of_uid,
    number,
    numbers,
    read_header,
    text,
    whole,
)

MAX_FRAMES = 2**16
MAX_SIDE = 2**16 - 1
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_NO_IMAGES = {  # these have pixels, but no image of a scanner
    "1.2.840.10008.5.1.4.1.1.30": "Parametric Map",
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "RT Dose",
}
_MACROS: Mapping[str, str] = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameReferenceDateTime": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "InversionTimes": "MRModifierSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
}
"""Element of a frame to the functional group that holds it."""

CLASSIC_TRAITS: Mapping[str, str] = {
    "TemporalPositionIdentifier": "time point",
    "EchoNumbers": "echo",
    "EchoTime": "echo time",
    "InversionTime": "inversion time",
    "DiffusionBValue": "b-value",
    "DiffusionGradientOrientation": "gradient",
    "StackID": "stack",
    "KVP": "kVp",
    "ConvolutionKernel": "kernel",
    "ImageType": "type",
}
ENHANCED_TRAITS: Mapping[str, str] = {
    "TemporalPositionIndex": "time point",
    "StackID": "stack",
    "EffectiveEchoTime": "echo time",
    "InversionTimes": "inversion time",
    "DiffusionBValue": "b-value",
    "NominalCardiacTriggerDelayTime": "trigger delay",
    "FrameType": "type",
}
"""Elements that tell volumes at the same place apart, and the words for them."""

CLASSIC_ORDERS = ("AcquisitionNumber", "TriggerTime", "AcquisitionDateTime", "AcquisitionTime")
ENHANCED_ORDERS = ("FrameAcquisitionNumber", "FrameReferenceDateTime")
"""Elements that may also differ from slice to slice within one volume."""


@dataclass(frozen=True)
class ImageFile:
    """One DICOM file with pixels.

    Attributes
    ----------
    path : Path
        The file.
    sop_uid, series_uid, frame_of_reference : str
        UIDs; empty if the header has none.
    series_number : int or None
        Series Number.
    modality : str
        Such as ``"MR"``.
    rows, columns, frames : int
        Size of a frame, and the number of frames.
    bits_allocated, bits_stored : int
        Bits of a voxel in the file, and how many of them are its value.
    signed, inverted : bool
        Whether values are two's complement; whether low values are white (MONOCHROME1).
    padding : tuple of int or None
        Smallest and largest stored value of voxels outside the image.
    transfer_syntax : str
        UID of the encoding.
    refusal : str
        Why its voxels cannot be used, the end of a sentence; empty if they can.
    """

    path: Path
    sop_uid: str
    series_uid: str
    frame_of_reference: str
    series_number: int | None
    modality: str
    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool
    padding: tuple[int, int] | None
    transfer_syntax: str
    refusal: str


@dataclass(frozen=True)
class Frame:
    """One slice.

    Attributes
    ----------
    file : ImageFile
        Its file.
    index : int
        Its number in the file, from 0.
    position_mm : tuple of float or None
        Centre of the first voxel (x, y, z), LPS.
    orientation : tuple of float or None
        Directions of increasing column and of increasing row, three cosines each, LPS.
    spacing_mm : tuple of float or None
        Distance between rows, and between columns.
    thickness_mm : float or None
        Distance to the next slice, or the thickness, as the header says.
    slope, intercept : float
        value = slope * stored + intercept.
    traits : mapping
        Word such as ``"echo"`` to the frame's value; volumes at the same place differ in them.
    orders : mapping
        Further values that may differ within a volume.
    """

    file: ImageFile
    index: int
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    thickness_mm: float | None
    slope: float
    intercept: float
    traits: Mapping[str, str] = field(default_factory=dict)
    orders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Other:
    """A DICOM object that is no image of a scanner.

    Attributes
    ----------
    kind : str
        What it is, such as ``"Segmentation"``.
    series_uid : str
        Its series; empty if the header names none.
    """

    kind: str
    series_uid: str


def read_frames(path: Path) -> tuple[Frame, ...] | Other:
    """Read the frames of one DICOM file, or what it is if it is no image.

    Raises
    ------
    Unreadable
        If the header is damaged or incomplete.
    """
    header = read_header(path)
    meta = getattr(header, "file_meta", Dataset())
    sop_class = text(header, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")
    series_uid = text(header, "SeriesInstanceUID")
    if sop_class in _NO_IMAGES:
        return Other(_NO_IMAGES[sop_class], series_uid)
    if not ("Rows" in header or "Columns" in header):
        return Other(_kind(header, sop_class), series_uid)
    file = _image_file(path, header)
    shared, each = _functional_groups(header, file)
    enhanced = bool(each or shared)
    frames = tuple(_frame(file, k, header, shared, each, enhanced) for k in range(file.frames))
    if whole(header, "SamplesPerPixel", 1) != 1:
        return Other("colour pictures", series_uid)
    placeless = frames[0].position_mm is None and frames[0].orientation is None
    if sop_class.startswith(_SECONDARY_CAPTURE) and file.frames == 1 and placeless:
        return Other("screenshots", series_uid)
    return frames


def _kind(header: Dataset, sop_class: str) -> str:
    """The name of the kind of an object without pixels.

    Raises
    ------
    Unreadable
        If the rest of the header is that of an image, or of nothing.
    """
    name = name_of_uid(sop_class)
    is_image = "Image Storage" in name and "Non-Image" not in name
    if is_image or "ImagePositionPatient" in header or "PhotometricInterpretation" in header:
        raise Unreadable("its header is incomplete")
    if not sop_class or not (name or text(header, "SeriesInstanceUID")):
        raise Unreadable("")
    return name.removesuffix(" Storage") or "objects of an unknown kind"


def _image_file(path: Path, header: Dataset) -> ImageFile:
    rows, columns = whole(header, "Rows"), whole(header, "Columns")
    frames = whole(header, "NumberOfFrames", 1)
    allocated = whole(header, "BitsAllocated")
    stored = whole(header, "BitsStored", allocated)
    high = whole(header, "HighBit", stored - 1)
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE and 0 < frames <= MAX_FRAMES):
        raise Unreadable(f"it declares {frames} frames of {columns} x {rows} pixels")
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated:
        raise Unreadable(f"it declares {stored} bits in {allocated}")
    sign = whole(header, "PixelRepresentation", 0)
    if sign not in (0, 1):
        raise Unreadable("its PixelRepresentation cannot be read")
    photometric = text(header, "PhotometricInterpretation")
    series_number = number(header, "SeriesNumber")
    meta = getattr(header, "file_meta", None) or Dataset()
    syntax = text(meta, "TransferSyntaxUID") or _guess_syntax(header)
    return ImageFile(
        path=path,
        sop_uid=text(header, "SOPInstanceUID"),
        series_uid=text(header, "SeriesInstanceUID"),
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        series_number=None if series_number is None else int(series_number),
        modality=text(header, "Modality"),
        rows=rows,
        columns=columns,
        frames=frames,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=sign == 1,
        inverted=photometric == "MONOCHROME1",
        padding=_padding(header, signed=sign == 1),
        transfer_syntax=syntax,
        refusal=_refusal(header, photometric, high - stored + 1),
    )


def _guess_syntax(header: Dataset) -> str:
    """The transfer syntax of a file without file meta information: one of two that need none."""
    implicit = bool(
        getattr(header, "is_implicit_VR", getattr(header, "original_encoding", (1,))[0])
    )
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"


def _refusal(header: Dataset, photometric: str, shift: int) -> str:
    is_mosaic = "MOSAIC" in text(header, "ImageType").upper().split("\\")
    if is_mosaic or IMAGES_IN_MOSAIC in header:
        return "holds all slices in one picture (a Siemens mosaic)"
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        shown = photometric or "unnamed"
        return f"has colours or a palette (photometric interpretation {shown})"
    if shift:
        return "stores its values in other bits than the lowest ones"
    if items(header, "ModalityLUTSequence"):
        return "maps its values by a table (Modality LUT)"
    return ""


def _padding(header: Dataset, *, signed: bool) -> tuple[int, int] | None:
    """Smallest and largest stored value of padding; it may be written with the wrong sign."""
    first = number(header, "PixelPaddingValue")
    if first is None:
        return None
    last = number(header, "PixelPaddingRangeLimit")
    values = [int(first), int(first if last is None else last)]
    if signed:
        values = [value - 2**16 if value >= 2**15 else value for value in values]
    else:
        values = [value + 2**16 if value < 0 else value for value in values]
    return min(values), max(values)


def _functional_groups(header: Dataset, file: ImageFile) -> tuple[list[Dataset], list[Dataset]]:
    shared = items(header, "SharedFunctionalGroupsSequence")
    each = items(header, "PerFrameFunctionalGroupsSequence")
    if each and len(each) != file.frames:
        raise Unreadable(f"it describes {len(each)} frames and declares {file.frames}")
    return shared, each


def _frame(
    file: ImageFile,
    index: int,
    header: Dataset,
    shared: list[Dataset],
    each: list[Dataset],
    enhanced: bool,
) -> Frame:
    groups = [*each[index : index + 1], *shared[:1]]

    def place(keyword: str) -> Dataset:
        """The item that holds an element: of the frame, of all frames, or the top level."""
        if enhanced and keyword in _MACROS:
            for group in groups:
                for item in items(group, _MACROS[keyword])[:1]:
                    if keyword in item:
                        return item
        return header

    one = file.frames == 1 or enhanced
    slope = number(place("RescaleSlope"), "RescaleSlope")
    intercept = number(place("RescaleIntercept"), "RescaleIntercept")
    if slope == 0:
        raise Unreadable("its RescaleSlope is 0")
    # On the top level, a position is that of the only frame.
    position = place("ImagePositionPatient")
    own = position is not header or file.frames == 1
    traits, orders = (
        (ENHANCED_TRAITS, ENHANCED_ORDERS) if enhanced else (CLASSIC_TRAITS, CLASSIC_ORDERS)
    )
    between = number(place("SpacingBetweenSlices"), "SpacingBetweenSlices")
    thick = number(place("SliceThickness"), "SliceThickness")
    dimensions = text(place("DimensionIndexValues"), "DimensionIndexValues") if enhanced else ""
    return Frame(
        file=file,
        index=index,
        position_mm=numbers(position, "ImagePositionPatient", 3) if own and one else None,
        orientation=numbers(place("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        spacing_mm=numbers(place("PixelSpacing"), "PixelSpacing", 2),
        thickness_mm=next((each for each in (between, thick) if each and each > 0), None),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        traits={word: text(place(keyword), keyword) for keyword, word in traits.items()},
        orders={keyword: text(place(keyword), keyword) for keyword in orders}
        | {f"dimension {k}": v for k, v in enumerate(filter(None, dimensions.split("\\")))},
    )
