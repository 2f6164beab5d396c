"""One case from its files: the image as stored, the label on its grid, values mapped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.train.data.label_grid import on_image_grid
from fedcross.train.data.sources.dicom_series import slices_left_out
from fedcross.train.data.volumes import CaseFiles
from fedcross.volumes.itk import hide_itk_warnings
from fedcross.volumes.nifti import check_voxels
from fedcross.volumes.read import read_volume

SHOWN_VALUES = 10


def read_case(
    case: CaseFiles, label_map: Mapping[int, int], site: str
) -> tuple[sitk.Image, NDArray[np.uint8]]:
    """Read one case as stored.

    Parameters
    ----------
    case
        Its files.
    label_map
        Value in the file -> value in the output; 0 stays 0.
    site
        Named in errors.

    Returns
    -------
    image : SimpleITK.Image
        The volume.
    label : ndarray
        (D, H, W) uint8 on the image's grid, values mapped.

    Raises
    ------
    DataError
        If a file cannot be used, image and label do not lie on the same grid, or the label holds
        values that `label_map` does not know.
    """
    try:
        image = read_channel(case.image, case.channel)
        label = on_image_grid(read_volume(case.label), image, resample=case.resample_label)
        return image, mapped(label, label_map)
    except DataError as error:
        raise in_case(error, case, site) from error


def in_case(error: DataError, case: CaseFiles, site: str) -> DataError:
    """The same error with the case's name in front."""
    return DataError(f"Case {case.name} of site {site}: {error.message}", error.hint)


def read_channel(path: Path, channel: int | None) -> sitk.Image:
    """Read a 3D image, or one channel of a 4D image without the others.

    Parameters
    ----------
    path
        A file, or a folder with one DICOM series.
    channel
        From 0; None if the image has to be 3D.

    Raises
    ------
    DataError
        As `read_volume`, or if there is no such channel.
    """
    if path.is_dir() and (damaged := slices_left_out(path)):
        raise DataError(
            f"The series {path.name} has unreadable files ({len(damaged)}), the first is "
            f"{damaged[0]}.",
            "Export the whole series again.",
        )
    count = 1 if channel is None or path.is_dir() else _channels(path)
    if channel is None or (count == 1 and channel == 0):
        return read_volume(path)
    if channel >= count:
        raise DataError(
            f"{path.name} has {count} channels, got channel = {channel}.",
            f"Set the site's channel to at most {count - 1}.",
        )
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with hide_itk_warnings():
        try:
            reader.ReadImageInformation()
            size = reader.GetSize()
            contents = check_voxels(path, int(np.prod(size, dtype=np.float64)))
            reader.SetExtractSize([*size[:3], 0])
            reader.SetExtractIndex([0, 0, 0, channel])
            image = reader.Execute()
        except RuntimeError as error:
            raise DataError(f"{path.name} is damaged or cut short.", "Copy it again.") from error
    if not contents.complete:
        raise DataError(f"{path.name} is damaged or cut short.", "Copy it again.")
    values = sitk.GetArrayViewFromImage(image)
    bad = contents.not_finite + int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise DataError(
            f"{path.name} has {bad} voxels that are not finite numbers (NaN or infinity).",
            "Replace them, for example by 0.",
        )
    return image


def _channels(path: Path) -> int:
    """How many 3D volumes a file says it has; 1 if it is none, which its reader will tell."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with hide_itk_warnings():
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            return 1
    size = reader.GetSize()
    return int(size[3]) if len(size) == 4 else 1


def mapped(label: NDArray[Any], label_map: Mapping[int, int]) -> NDArray[np.uint8]:
    """A label with the output's values; DataError if it holds one that the map does not know."""
    known = {0: 0, **label_map}
    values = np.unique(label)
    unknown = [value for value in values.tolist() if value not in known]
    if unknown:
        shown = ", ".join(f"{value:g}" for value in unknown[:SHOWN_VALUES])
        raise DataError(
            f"the label holds {shown}{' ...' if len(unknown) > SHOWN_VALUES else ''}; "
            f"known values are {', '.join(str(value) for value in sorted(known))}.",
            "Set the site's label_map.",
        )
    array = np.zeros(label.shape, np.uint8)
    for value in values.tolist():
        array[label == value] = known[int(value)]
    return array
