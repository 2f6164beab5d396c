"""The stored values of a DICOM file."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.files.dicom.elements import Unreadable
from fedcross.volumes.files.dicom.encapsulated import decode
from fedcross.volumes.files.dicom.gdcm import GdcmProcess
from fedcross.volumes.files.dicom.header import read_pixel_data
from fedcross.volumes.files.dicom.image_file import ImageFile

_NATIVE = {  # transfer syntaxes without compression of the pixels, and their byte order
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.1.99": "<",
    "1.2.840.10008.1.2.2": ">",
}


def read_stored(file: ImageFile, gdcm: GdcmProcess) -> NDArray[Any]:
    """Read the stored values (frames, rows, columns) of a file; unused bits are cleared.

    Parameters
    ----------
    file
        Description of the file.
    gdcm
        Decodes compressed pixels.

    Raises
    ------
    Unreadable
        If there are fewer or more of them than the header says, or they are damaged.
    DataError
        If they are compressed in a way that cannot be decoded here.
    """
    data, is_encapsulated = read_pixel_data(file.path)
    if file.transfer_syntax not in _NATIVE:
        if not is_encapsulated:
            raise Unreadable("its pixels are not compressed as its header says")
        return _use_bits(decode(file, data, gdcm), file)
    if is_encapsulated:
        raise Unreadable("its pixels are compressed, unlike its header says")
    order = _NATIVE[file.transfer_syntax]
    dtype = np.dtype(f"{order}{'i' if file.signed else 'u'}{file.bits_allocated // 8}")
    expected = file.frames * file.rows * file.columns * dtype.itemsize
    if len(data) < expected:
        raise Unreadable("it is cut short")
    if len(data) >= expected + max(2, file.columns * dtype.itemsize):
        raise Unreadable("it holds more pixels than it declares")
    stored = np.frombuffer(data, dtype, expected // dtype.itemsize)
    return _use_bits(stored.reshape(file.frames, file.rows, file.columns), file)


def _use_bits(stored: NDArray[Any], file: ImageFile) -> NDArray[Any]:
    """Clear the bits above the stored ones, which old files use for overlays, or extend the sign."""
    kind = np.dtype(f"{'i' if file.signed else 'u'}{file.bits_allocated // 8}")
    values = stored.astype(kind, copy=False)
    unused = file.bits_allocated - file.bits_stored
    return (values << unused) >> unused if unused else values
