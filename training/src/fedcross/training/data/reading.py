"""Read one case from its files: the images as stored, and the label on the first image's grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.training.data.label_grid import to_image_grid
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.files.read import read_volume

SHOWN_VALUES = 10
WHOLE_TOLERANCE = 1e-3
"""Largest difference between a label's value and the whole number that it means."""


def read_case(
    case: CaseFiles, label_map: Mapping[int, int], site: str
) -> tuple[sitk.Image, NDArray[np.uint8]]:
    """Read the first channel and the label of one case without preprocessing.

    Parameters
    ----------
    case
        Its files.
    label_map
        Value in the label file to the structure's label, at most 255; 0 stays 0.
    site
        Name of the site, for error messages.

    Returns
    -------
    image : SimpleITK.Image
        3D image on its own grid.
    label : ndarray
        (D, H, W) = (z, y, x) uint8 on the image's grid, with the structures' labels.

    Raises
    ------
    DataError
        If a file cannot be used, the label is on another grid and may not be resampled, or the label
        has values that `label_map` does not contain.
    """
    try:
        image = read_channel(case.image, case.channel)
        label = to_image_grid(read_volume(case.label), image, resample=case.resample_label)
        return image, map_label_values(label, label_map)
    except DataError as error:
        raise with_case_name(error, case, site) from error


def read_further(case: CaseFiles) -> list[sitk.Image]:
    """Read the images of a case's further channels, each on its own grid.

    Raises
    ------
    DataError
        If a file cannot be used; see `read_channel`.
    """
    return [read_channel(image.path, image.channel) for image in case.further]


def with_case_name(error: DataError, case: CaseFiles, site: str) -> DataError:
    """Return the error with the names of case and site in front of its message."""
    return DataError(f"Case {case.name} of site {site}: {error.message}", error.hint)


def read_channel(path: Path, channel: int | None) -> sitk.Image:
    """Read a 3D image, or one channel of a 4D image; the other channels are not loaded.

    Parameters
    ----------
    path
        A file, or a folder with one DICOM series.
    channel
        Index of the channel, from 0; None if the image must be 3D.

    Raises
    ------
    DataError
        If the file is damaged, incomplete or has NaN or infinite values, or the channel does not
        exist; see also `read_volume`.
    """
    return read_volume(path, channel=channel)


def round_label_values(label: NDArray[Any]) -> NDArray[Any]:
    """Round the values of a label, of any shape, that differ from whole numbers by rounding only.

    Programs that store labels as scaled or floating numbers write 1.0000001 in place of 1. If any value
    is farther from a whole number than `WHOLE_TOLERANCE`, the label is returned unchanged.
    """
    if label.dtype.kind != "f":
        return label
    rounded = np.rint(label)
    is_whole = np.abs(label - rounded).max(initial=0) <= WHOLE_TOLERANCE
    return rounded if is_whole else label


def map_label_values(label: NDArray[Any], label_map: Mapping[int, int]) -> NDArray[np.uint8]:
    """Replace the values of a label, (D, H, W) of any number type, by the structures' labels.

    Parameters
    ----------
    label
        Values as in the file.
    label_map
        Value in the file to the structure's label; 0 stays 0.

    Raises
    ------
    DataError
        If the label has a value that `label_map` does not contain.
    """
    known = {0: 0, **label_map}
    label = round_label_values(label)
    values = np.unique(label)
    unknown = [value for value in values.tolist() if value not in known]
    if unknown:
        shown = ", ".join(f"{value:g}" for value in unknown[:SHOWN_VALUES])
        raise DataError(
            f"the label has the unknown values {shown}"
            f"{' ...' if len(unknown) > SHOWN_VALUES else ''}; "
            f"known values are {', '.join(str(value) for value in sorted(known))}.",
            "Set the site's label_map. A list without configuration has none: change the label file."
            if all(float(value).is_integer() for value in unknown)
            else "A label map has whole numbers, and a probability map none: choose a threshold, write "
            "1 above it and 0 elsewhere.",
        )
    array = np.zeros(label.shape, np.uint8)
    for value in values.tolist():
        array[label == value] = known[int(value)]
    return array
