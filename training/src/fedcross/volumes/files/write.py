"""Write a volume to a file with SimpleITK."""

from pathlib import Path

import SimpleITK as sitk

from fedcross.runtime.files.atomic import atomic_path
from fedcross.volumes.files.itk import hide_itk_warnings, itk_path


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
