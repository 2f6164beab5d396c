"""DICOM series below a patient's folder, one folder per series, as archives deliver them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.runtime.files.walk import walk
from fedcross.volumes.files.itk import hide_itk_warnings

SERIES_NUMBER, SERIES_DESCRIPTION = "0020|0011", "0008|103e"
_SLICES = (".dcm", ".ima")
_OTHER_FILES = (".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".csv", ".txt", ".json")


@dataclass(frozen=True)
class Series:
    """One DICOM series.

    Attributes
    ----------
    folder
        Folder that contains its slices.
    number
        Series Number; None if the header has none.
    description
        Series Description; empty if the header has none.
    size
        Number of voxels (columns, rows, slices). The number of slices is the number of files times
        the frames of the first file.
    """

    folder: Path
    number: int | None
    description: str
    size: tuple[int, int, int]


def find_dicom_folders(root: Path) -> list[Path]:
    """List the folders at or below `root` that contain DICOM files by their names; none is opened."""
    return [folder for folder, files in walk(root) if _candidates(files)]


def find_series(root: Path) -> list[Series]:
    """Read one header per folder at or below `root`; return the series sorted by Series Number.

    Folders without a readable DICOM file are left out.
    """
    found = []
    with hide_itk_warnings():
        for folder, names in walk(root):
            files = _candidates(names)
            series = next(filter(None, (_read(folder, name, len(files)) for name in files)), None)
            if series is not None:
                found.append(series)
    return sorted(found, key=lambda series: series.number or 0)


def choose_series(
    series: Sequence[Series], label: Path, *, number: int | None, description: str, case: str
) -> Series:
    """Choose the series on which a label was drawn.

    The series with the given number is taken. If there is none, the description decides; a patient's
    only series is taken whatever its description. Of several, those of the label's size are taken.

    Parameters
    ----------
    series
        All series of one patient.
    label
        File of the label map; only its header is read.
    number
        Series Number according to the data set; None if unknown.
    description
        Regular expression to find in the Series Description, ignoring upper and lower case.
    case
        Name of the case, for error messages.

    Raises
    ------
    DataError
        If no series or several series are left.
    """
    fitting = [each for each in series if number is not None and each.number == number]
    if not fitting:
        fitting = [s for s in series if re.search(description, s.description, re.IGNORECASE)]
    if not fitting and len(series) == 1:
        fitting = list(series)
    if len(fitting) > 1:
        fitting = [each for each in fitting if _same_size(each, label)] or fitting
    if len(fitting) != 1:
        listed = ", ".join(f"{s.number} {s.description!r}" for s in fitting or series) or "none"
        raise DataError(
            f"Case {case} has {len(fitting) or 'no'} DICOM series that its label may belong to; "
            f"found: {listed}.",
            "Use a list file that names the folder of each case's series.",
        )
    return fitting[0]


def _candidates(names: Sequence[str]) -> list[str]:
    """Files that may be DICOM: those ending in .dcm or .ima, or else all without a known extension."""
    plain = [name for name in names if name.lower().endswith(_SLICES)]
    return plain or [name for name in names if not name.lower().endswith(_OTHER_FILES)]


def _read(folder: Path, name: str, count: int) -> Series | None:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(folder / name))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None  # not DICOM, for example a licence text

    def value(tag: str) -> str:
        return reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""

    number = re.fullmatch(r"-?\d+", value(SERIES_NUMBER))
    columns, rows, frames = (*reader.GetSize(), 1, 1)[:3]
    return Series(
        folder,
        int(number[0]) if number else None,
        value(SERIES_DESCRIPTION),
        (columns, rows, frames * count),
    )


def _same_size(series: Series, label: Path) -> bool:
    """Whether a label has the series' numbers of voxels along its axes, in any order of axes."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(label))
    try:
        with hide_itk_warnings():
            reader.ReadImageInformation()
    except RuntimeError:
        return False
    return sorted(reader.GetSize()) == sorted(series.size)
