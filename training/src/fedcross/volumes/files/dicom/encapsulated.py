"""Check and decode compressed pixel data.

The decoder receives a file with the pixel data and their description only, so that nothing else of the
header reaches it: neither rescale nor geometry nor a patient's name. It does not report every damage, so
the frames are counted and their ends are checked first.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom.elements import MAX_NAME, Unreadable, name_of_uid, reading
from fedcross.volumes.files.dicom.gdcm import GdcmProcess
from fedcross.volumes.files.dicom.image_file import ImageFile

MAX_RATIO = 1000
"""Largest compression of a file of more than `_SMALL` voxels; what claims more is not allocated."""

_SMALL = 2**24
_RLE = "1.2.840.10008.1.2.5"
_GDCM = {
    _RLE: "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG",
    "1.2.840.10008.1.2.4.57": "JPEG",
    "1.2.840.10008.1.2.4.70": "JPEG",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}
"""Transfer syntaxes that GDCM decodes."""
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_END_OF_IMAGE = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD


def decode(file: ImageFile, data: bytes, gdcm: GdcmProcess) -> NDArray[Any]:
    """Return the stored values (frames, rows, columns) of encapsulated pixel data.

    Parameters
    ----------
    file
        Description of the pixels.
    data
        Value of the element: items up to, and without, the sequence delimiter.
    gdcm
        The decoder.

    Raises
    ------
    DataError
        If the transfer syntax cannot be decoded here.
    Unreadable
        If the data are damaged or incomplete.
    """
    if file.transfer_syntax not in _GDCM:
        name = name_of_uid(file.transfer_syntax) or f"an unknown format {file.transfer_syntax}"
        shown = plain_text(file.path.name, MAX_NAME)
        raise DataError(
            f"{shown} is encoded as {plain_text(name, MAX_NAME)}, which cannot be decoded.",
            "Export it uncompressed, or convert it with dcmdjpeg or gdcmconv --raw.",
        )
    voxels = file.frames * file.rows * file.columns
    if voxels > _SMALL and voxels * file.bits_allocated // 8 > MAX_RATIO * len(data):
        raise Unreadable("it is too small for the voxels that it declares")
    _check_fragments(file, list(_fragments(data)))

    def write(path: Path) -> None:
        with reading(""):
            dcmwrite(path, _bare(file, data), enforce_file_format=True)

    array = gdcm.decode(write)
    if array.shape != (file.frames, file.rows, file.columns) or array.dtype.kind not in "iu":
        raise Unreadable("its compressed pixels have another size than its header says")
    return array


def _bare(file: ImageFile, data: bytes) -> Dataset:
    """A file of pixels alone."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(file.transfer_syntax)
    dataset.SOPClassUID = UID(_SECONDARY_CAPTURE)
    dataset.SOPInstanceUID = UID("2.25.1")
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = file.rows, file.columns
    if file.frames > 1:
        dataset.NumberOfFrames = file.frames
    dataset.BitsAllocated, dataset.BitsStored = file.bits_allocated, file.bits_stored
    dataset.HighBit = file.bits_stored - 1
    dataset.PixelRepresentation = int(file.signed)
    dataset.PixelData = data
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _fragments(data: bytes) -> Iterator[bytes]:
    """Yield the fragments after the offset table, DICOM PS3.5 A.4."""
    place, is_first = 0, True
    while place < len(data):
        if len(data) < place + 8:
            raise Unreadable("its compressed pixels are cut short")
        group, element, length = struct.unpack_from("<HHL", data, place)
        tag = group << 16 | element
        if tag == _END:
            return
        place += 8
        if tag != _ITEM or place + length > len(data):
            raise Unreadable("its compressed pixels are cut short")
        if not is_first:
            yield data[place : place + length]
        place, is_first = place + length, False


def _check_fragments(file: ImageFile, fragments: list[bytes]) -> None:
    """Check that there are fragments for all frames, and that each frame is complete."""
    if file.transfer_syntax == _RLE:
        complete = len(fragments) == file.frames
    else:
        ends = [fragment.rstrip(b"\0").endswith(_END_OF_IMAGE) for fragment in fragments]
        complete = bool(ends) and ends[-1] and sum(ends) >= file.frames
    if not complete:
        raise Unreadable("its compressed pixels are cut short")
