"""Write a volume to a file with SimpleITK."""

import errno
import os
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.runtime.files.atomic import atomic_path
from fedcross.volumes.files.itk import hide_itk_warnings, itk_path
from fedcross.volumes.files.read import read_volume

NIFTI = (".nii", ".nii.gz")


def write_volume(image: sitk.Image, path: Path) -> None:
    """Write a volume, compressed. The same image always gives the same bytes.

    The file is written under a temporary name and renamed, so a partial file never has the final name.

    Parameters
    ----------
    image
        The volume.
    path
        File to write. Its suffix selects the format, which must keep header and voxels in one file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with hide_itk_warnings(), atomic_path(path) as partial:
        try:
            sitk.WriteImage(image, itk_path(partial), useCompression=True)
        except RuntimeError as error:
            raise OSError from error  # the text of ITK's error quotes whole paths
        if path.name.lower().endswith(NIFTI):
            _check_written(partial)


def _check_written(path: Path) -> None:
    """Raise an OSError if a file was not written whole: ITK's writer of NIfTI does not notice it."""
    try:
        read_volume(path)
    except DataError as error:
        raise OSError(errno.EIO, os.strerror(errno.EIO)) from error
