"""The frames of DICOM image files: where each one lies, how it is stored, what distinguishes it.

A classic file holds one frame and describes it on its top level. An enhanced multi-frame file describes
each frame by functional groups, DICOM PS3.3 C.7.6.16: those of the frame, or those that all share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.volumes.files.dicom.elements import (
    Unreadable,
    items,
    name_of_uid,
    number,
    numbers,
    text,
    whole,
)
from fedcross.volumes.files.dicom.header import read_header
from fedcross.volumes.files.dicom.image_file import ImageFile, read_image_file

_DIMENSIONS = "DimensionIndexValues"
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
    is_rescaled : bool
        Whether the header states one of the two.
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
    is_rescaled: bool
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
    if whole(header, "SamplesPerPixel", 1) != 1:
        return Other("colour pictures", series_uid)
    file = read_image_file(path, header)
    groups = _functional_groups(header, file)
    frames = tuple(
        _frame(file, k, header, None if groups is None else groups[k]) for k in range(file.frames)
    )
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


def _functional_groups(header: Dataset, file: ImageFile) -> list[list[Dataset]] | None:
    """For each frame its functional groups and those that all share; None for a classic file."""
    shared = items(header, "SharedFunctionalGroupsSequence")
    each = items(header, "PerFrameFunctionalGroupsSequence")
    if each and len(each) != file.frames:
        raise Unreadable(f"it describes {len(each)} frames and declares {file.frames}")
    if not (shared or each):
        return None
    return [[*each[k : k + 1], *shared[:1]] for k in range(file.frames)]


def _frame(file: ImageFile, index: int, header: Dataset, groups: list[Dataset] | None) -> Frame:
    """Frame `index` of a file; `groups` are its functional groups, its own first, or None if classic."""

    def place(keyword: str) -> Dataset:
        return _place(keyword, groups or [], header)

    slope = number(place("RescaleSlope"), "RescaleSlope")
    intercept = number(place("RescaleIntercept"), "RescaleIntercept")
    if slope == 0:
        raise Unreadable("its RescaleSlope is 0")
    position = place("ImagePositionPatient")
    has_own = position is not header or file.frames == 1  # the top level describes one frame only
    between = number(place("SpacingBetweenSlices"), "SpacingBetweenSlices")
    thick = number(place("SliceThickness"), "SliceThickness")
    traits = CLASSIC_TRAITS if groups is None else ENHANCED_TRAITS
    orders = CLASSIC_ORDERS if groups is None else ENHANCED_ORDERS
    dimensions = text(place(_DIMENSIONS), _DIMENSIONS) if groups is not None else ""
    return Frame(
        file=file,
        index=index,
        position_mm=numbers(position, "ImagePositionPatient", 3) if has_own else None,
        orientation=numbers(place("ImageOrientationPatient"), "ImageOrientationPatient", 6),
        spacing_mm=numbers(place("PixelSpacing"), "PixelSpacing", 2),
        thickness_mm=next((each for each in (between, thick) if each and each > 0), None),
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        is_rescaled=slope is not None or intercept is not None,
        traits={word: text(place(keyword), keyword) for keyword, word in traits.items()},
        orders={keyword: text(place(keyword), keyword) for keyword in orders}
        | {f"dimension {k}": v for k, v in enumerate(filter(None, dimensions.split("\\")), 1)},
    )


def _place(keyword: str, groups: list[Dataset], header: Dataset) -> Dataset:
    """The item that holds an element: of the frame, of all frames, or the top level."""
    if keyword in _MACROS:
        for group in groups:
            for item in items(group, _MACROS[keyword])[:1]:
                if keyword in item:
                    return item
    return header
