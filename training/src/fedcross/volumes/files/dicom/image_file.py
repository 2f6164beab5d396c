"""How the pixels of a DICOM file are stored."""

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.volumes.files.dicom.elements import Unreadable, items, number, text, whole
from fedcross.volumes.files.dicom.header import IMAGES_IN_MOSAIC

MAX_FRAMES = 2**16
MAX_SIDE = 2**16 - 1


@dataclass(frozen=True)
class ImageFile:
    """One DICOM file with pixels.

    Attributes
    ----------
    path : Path
        The file.
    sop_class, sop_uid, series_uid, frame_of_reference : str
        UIDs; empty if the header has none.
    study_uid, patient_id : str
        Study Instance UID and Patient ID, which slices of one volume share; never shown.
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
    sop_class: str
    sop_uid: str
    series_uid: str
    frame_of_reference: str
    study_uid: str
    patient_id: str = field(repr=False)
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


def read_image_file(path: Path, header: Dataset) -> ImageFile:
    """Read the description of a file's pixels from its header.

    Raises
    ------
    Unreadable
        If it is incomplete or impossible.
    """
    rows, columns = whole(header, "Rows"), whole(header, "Columns")
    frames = whole(header, "NumberOfFrames", 1)
    allocated = whole(header, "BitsAllocated")
    stored = whole(header, "BitsStored")
    high = whole(header, "HighBit", stored - 1)
    if not (0 < rows <= MAX_SIDE and 0 < columns <= MAX_SIDE and 0 < frames <= MAX_FRAMES):
        raise Unreadable(f"it declares {frames} frames of {columns} x {rows} pixels")
    if allocated not in (8, 16, 32) or not 0 < stored <= allocated:
        raise Unreadable(f"it declares {stored} bits in {allocated}")
    sign = whole(header, "PixelRepresentation")
    if sign not in (0, 1):
        raise Unreadable("its PixelRepresentation cannot be read")
    photometric = text(header, "PhotometricInterpretation")
    series_number = number(header, "SeriesNumber")
    meta = getattr(header, "file_meta", None) or Dataset()
    syntax = text(meta, "TransferSyntaxUID") or _guess_syntax(header)
    return ImageFile(
        path=path,
        sop_class=text(header, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID"),
        sop_uid=text(header, "SOPInstanceUID"),
        series_uid=text(header, "SeriesInstanceUID"),
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        patient_id=text(header, "PatientID"),
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
