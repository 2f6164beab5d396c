"""Write a volume to a file with SimpleITK."""

import os
from contextlib import suppress
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import OutputError
from fedcross.volumes.itk import hide_itk_warnings


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
    # A prefix, because the suffix of the temporary name must select the same format.
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with hide_itk_warnings():
        try:
            sitk.WriteImage(image, str(partial), useCompression=True)
            partial.replace(path)
        except (RuntimeError, OSError) as error:
            raise OutputError(
                f"{path.name} cannot be written.", "Check the folder's permissions and free space."
            ) from error
        finally:
            with suppress(OSError):  # there may be nothing to remove
                partial.unlink()
