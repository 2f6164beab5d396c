"""Writes the label map of a result as one NIfTI file, at the place where nnU-Net writes it."""

from pathlib import Path

import SimpleITK as sitk

from fedcross.contract.files import SEGMENTATION, SUMMARY
from fedcross.errors import OutputError
from fedcross.volumes.files.itk import hide_itk_warnings, itk_path
from fedcross.volumes.files.write import write_volume
from fedcross.volumes.grid import Grid

ENDING = ".nii.gz"


def write_label_map(result: Path, path: Path) -> None:
    """Write the label map of a result folder to a file, unless the file is newer than the result.

    Parameters
    ----------
    result
        Result folder.
    path
        File to write; uint8 on the grid of the first image, 0 for background.

    Raises
    ------
    OutputError
        If the segmentation cannot be read, or the file cannot be written.
    """
    made = (result / SUMMARY).stat().st_mtime_ns
    if path.is_file() and path.stat().st_mtime_ns > made:
        return
    try:
        with hide_itk_warnings():
            image = sitk.ReadImage(itk_path(result / SEGMENTATION), sitk.sitkUInt8)
    except RuntimeError as error:
        raise OutputError(
            f"The segmentation in {result.name} cannot be read.", "Delete the folder and try again."
        ) from error
    write_volume(Grid.of(image).image(sitk.GetArrayViewFromImage(image)), path)
