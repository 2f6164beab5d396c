"""Find many cases: in a folder of volumes, in a folder of nnU-Net, or in a list file."""

from pathlib import Path

from fedcross.contract.folder_cases import FolderCase, find_cases
from fedcross.errors import DataError
from fedcross.infer.batch.case import Case, safe_name, with_unique_names
from fedcross.runtime.files.walk import real_path
from fedcross.volumes.case_list import (
    check_unique,
    find_listed,
    listed_images,
    name_cases,
    read_rows,
)
from fedcross.volumes.files.checks import FORMATS
from fedcross.volumes.preprocessing import Preprocessing

NNUNET_TEST, NNUNET_JSON = "imagesTs", "dataset.json"
COLUMNS = "image and optionally name; and image:NAME for a further channel"


def find_image_cases(source: Path, preprocessing: Preprocessing, out: Path) -> list[Case]:
    """Return the cases of a folder or a list; no image is opened.

    Parameters
    ----------
    source
        A folder of volumes; a raw data set of nnU-Net or of the Medical Segmentation Decathlon, whose
        folder ``imagesTs`` is taken, or another one of its folders of images; or a list file.
    preprocessing
        Settings of the bundle, with the channels.
    out
        Folder of the results, which is no case.

    Returns
    -------
    list of Case
        At least one.

    Raises
    ------
    DataError
        If there is no case, or the list cannot be used.
    """
    if source.is_file():
        return _list_cases(source, preprocessing.channel_names)
    if not source.is_dir():
        raise DataError(f"There is no folder and no list named {source.name}.", "Check the path.")
    is_root = (source / NNUNET_TEST).is_dir()
    folder = source / NNUNET_TEST if is_root else source
    found: list[FolderCase] = []
    if is_root or (folder.parent / NNUNET_JSON).is_file():
        found = find_cases(folder, preprocessing.channel_count, is_nnunet=True)
    # The Medical Segmentation Decathlon has the same folders, but numbers no channels.
    found = found or find_cases(folder, preprocessing.channel_count)
    results = real_path(out)
    cases = [
        Case(each.name, each.images)
        for each in found
        if real_path(each.images[0]) not in (results, *results.parents)
    ]
    if not cases:
        raise _no_case_error(folder, preprocessing)
    return with_unique_names(cases)


def _list_cases(path: Path, channels: tuple[str, ...]) -> list[Case]:
    images, given, places = [], [], []
    for place, row in read_rows(path, COLUMNS):
        names = listed_images(place, row, channels)
        if not names[0]:
            raise DataError(f"{place} lacks an image.", f"Every entry needs {COLUMNS}.")
        images.append(tuple(find_listed(path.parent, name) for name in names))
        given.append(str(row.get("name") or "").strip())
        places.append(place)
    listed = [(name, files[0]) for name, files in zip(given, images, strict=True)]
    names = name_cases(listed, path.parent)
    check_unique(names, places)
    cases = (Case(safe_name(name), files) for name, files in zip(names, images, strict=True))
    return with_unique_names(cases)


def _no_case_error(folder: Path, preprocessing: Preprocessing) -> DataError:
    if preprocessing.channel_count > 1:
        return DataError(
            f"There is no case in {folder.name}: the bundle takes the images "
            f"{', '.join(preprocessing.channel_names)}.",
            "Name the files of a case CASE_0000.nii.gz, CASE_0001.nii.gz and so on, or give a list.",
        )
    return DataError(
        f"There is no volume in {folder.name}.", f"{FORMATS} For DICOM there is --series-root."
    )
