"""DICOM series below a patient's folder, as archives deliver them: one folder a series."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.train.data.sources.folders import walk
from fedcross.volumes.itk import hide_itk_warnings

SERIES_NUMBER, SERIES_DESCRIPTION = "0020|0011", "0008|103e"
_SLICES = (".dcm", ".ima")
_OTHER_FILES = (".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".csv", ".txt", ".json")


@dataclass(frozen=True)
class Series:
    """One series.

    Attributes
    ----------
    folder
        Where its slices lie.
    number
        Series Number; None if it has none.
    description
        Series Description, perhaps empty.
    size
        Voxels (columns, rows, slices), the slices counted by files.
    """

    folder: Path
    number: int | None
    description: str
    size: tuple[int, int, int]


def dicom_folders(root: Path) -> list[Path]:
    """Every folder at or below `root` that seems to hold DICOM files, none opened."""
    return [folder for folder, files in walk(root) if _candidates(files)]


def series_below(root: Path) -> list[Series]:
    """The series at or below `root` by number, from one header each; other folders are left out."""
    found = []
    with hide_itk_warnings():
        for folder, names in walk(root):
            files = _candidates(names)
            series = next(filter(None, (_read(folder, name, len(files)) for name in files)), None)
            if series is not None:
                found.append(series)
    return sorted(found, key=lambda series: series.number or 0)


def slices_left_out(folder: Path) -> list[str]:
    """Names of the DICOM files in a folder that belong to none of its series: they are damaged.

    GDCM passes over what it cannot read; at the end of a series nobody would miss it.
    """
    with hide_itk_warnings():
        read = {
            Path(name).name
            for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
            for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        }
    names = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(name for name in names if name.lower().endswith(_SLICES) and name not in read)


def choose_series(
    series: Sequence[Series], label: Path, *, number: int | None, description: str, case: str
) -> Series:
    """The series that a label was drawn on.

    Parameters
    ----------
    series
        Of one patient.
    label
        Its label map; the header settles what the rest leaves open.
    number
        Series Number, where the data set tells.
    description
        Regular expression that the Series Description has to contain otherwise, in any case.
    case
        Named in errors.

    Raises
    ------
    DataError
        If none fits, or several do.
    """
    fitting = [each for each in series if number is not None and each.number == number]
    if not fitting:
        fitting = [s for s in series if re.search(description, s.description, re.IGNORECASE)]
    if not fitting and len(series) == 1:
        fitting = list(series)
    if len(fitting) > 1:
        fitting = [each for each in fitting if _same_size(each, label)] or fitting
    if len(fitting) != 1:
        told = ", ".join(f"{s.number} {s.description!r}" for s in fitting or series) or "none"
        raise DataError(
            f"Case {case} has {len(fitting) or 'no'} DICOM series that its label may belong to; "
            f"there are: {told}.",
            "Describe this data set by a list file that names the folder of each case's series.",
        )
    return fitting[0]


def _candidates(names: Sequence[str]) -> list[str]:
    """Files that may be DICOM: .dcm if there is one, else those that are nothing else by name."""
    plain = [name for name in names if name.lower().endswith(_SLICES)]
    return plain or [name for name in names if not name.lower().endswith(_OTHER_FILES)]


def _read(folder: Path, name: str, count: int) -> Series | None:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(folder / name))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None  # no DICOM: licences and the like lie about

    def told(tag: str) -> str:
        return reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else ""

    number = re.fullmatch(r"-?\d+", told(SERIES_NUMBER))
    columns, rows, frames = (*reader.GetSize(), 1, 1)[:3]
    return Series(
        folder,
        int(number[0]) if number else None,
        told(SERIES_DESCRIPTION),
        (columns, rows, frames * count),
    )


def _same_size(series: Series, label: Path) -> bool:
    """Whether a label has as many voxels along the axes, in whichever order they are stored."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(label))
    try:
        with hide_itk_warnings():
            reader.ReadImageInformation()
    except RuntimeError:
        return False
    return sorted(reader.GetSize()) == sorted(series.size)
