"""The four public prostate data sets of Xu et al., MIDL 2023, in the layouts of their downloads.

The files are found at any depth below a root folder. Alternatively the root has the layout of the
FedCross authors' code: folders ``image`` and ``label`` (for the Decathlon ``imagesTr`` and
``labelsTr``) with one NIfTI file per case.

- MSD: Medical Segmentation Decathlon, Task05_Prostate (http://medicaldecathlon.com).
- NCI-ISBI 2013: TCIA, "NCI-ISBI 2013 Challenge - Automated Segmentation of Prostate Structures"
  (doi 10.7937/K9/TCIA.2015.zF0vlOPv); DICOM by patient, labels as NRRD.
- PROMISE12: https://promise12.grand-challenge.org; MetaImage.
- PROSTATEx: TCIA (doi 10.7937/K9TCIA.2017.MURS5CL); DICOM by patient. The masks come from other
  sources: NIfTI of Cuocolo et al., "PROSTATEx masks" (Eur J Radiol 2021), or NRRD of Holmlund et al.,
  "ProstateZones".
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fedcross.contract.volume_names import is_volume_name, stem
from fedcross.errors import DataError
from fedcross.runtime.files.walk import walk
from fedcross.runtime.files.whole_file import read_file
from fedcross.training.data.sources.channels import ChannelChoice
from fedcross.training.data.sources.dicom_series import (
    choose_series,
    find_dicom_folders,
    find_series,
)
from fedcross.training.data.sources.folders import require_folder
from fedcross.training.data.sources.layouts import find_msd
from fedcross.training.data.sources.pairs import FoundFiles, find_pairs, index_by_name

Finder = Callable[[Path, ChannelChoice], FoundFiles]

_NCI = re.compile(r"Prostate(?:3T|Dx)-\d{2}-\d{4}")
_PROMISE = re.compile(r"Case(\d+)(_segmentation)?", re.IGNORECASE)
_PROSTATEX = re.compile(r"ProstateX-(\d{4})", re.IGNORECASE)
_ZONES = re.compile(r"Seg-(\d{4})(?:_R1)?")  # R1: the first of the two readers of a test case
_T2_AXIAL = r"t2.*(tra|ax)"


def with_authors_layout(native: Finder) -> Finder:
    """Return a finder for the authors' layout if the root has it, and else for the native layout."""

    def find(root: Path, channels: ChannelChoice) -> FoundFiles:
        require_folder(root)
        if (root / "image").is_dir() and (root / "label").is_dir():
            return find_pairs(root, "image", "label")
        return native(root, channels)

    return find


def find_msd_prostate(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of Task05_Prostate: 4D images with T2 (channel 0) and a diffusion map (1).

    Parameters
    ----------
    root
        Folder at or above ``dataset.json``, or with ``imagesTr`` and ``labelsTr`` of 3D images.
    channels
        The channels to read.

    Raises
    ------
    DataError
        If the files are not found, see `find_msd` and `find_pairs`.
    """
    require_folder(root)
    if (root / "imagesTr").is_dir() and not (root / "dataset.json").is_file():
        return find_pairs(root, "imagesTr", "labelsTr")
    folders = [folder for folder, names in walk(root) if "dataset.json" in names]
    return find_msd(folders[0] if len(folders) == 1 else root, channels)


def find_nci_isbi_2013(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of NCI-ISBI 2013: DICOM in folders named after the patients, labels as NRRD.

    A label is named ``PATIENT.nrrd``, perhaps with ``_truth`` at the end; one with "corrected" in its
    name replaces the patient's other label. Many labels have another order of axes than their image,
    some another grid.

    Parameters
    ----------
    root
        Folder at or above the unpacked downloads.
    channels
        Not used.

    Raises
    ------
    DataError
        If there are no labels or no patients' folders, or two of one patient.
    """
    plain: list[tuple[str, Path]] = []
    corrected: list[tuple[str, Path]] = []
    folders: list[tuple[str, Path]] = []
    for folder, names in walk(root):
        if _NCI.fullmatch(folder.name):
            folders.append((folder.name, folder))
        for name in names:
            match = _NCI.match(name)
            if match and name.lower().endswith(".nrrd"):
                kind = corrected if "corrected" in name.lower() else plain
                kind.append((match[0], folder / name))
    labels = {**index_by_name("labels", plain), **index_by_name("labels", corrected)}
    _require(labels, root, "label such as Prostate3T-01-0001.nrrd", "NCI-ISBI 2013")
    _require(folders, root, "patient's folder such as Prostate3T-01-0001", "NCI-ISBI 2013")
    return _dicom_cases("NCI-ISBI 2013", index_by_name("folders", folders), labels, {})


def find_promise12(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of PROMISE12: ``CaseXX.mhd`` with ``CaseXX_segmentation.mhd`` beside it.

    Folders without any segmentation (the challenge's test data) are not used.

    Parameters
    ----------
    root
        Folder at or above the unpacked downloads.
    channels
        Not used.

    Raises
    ------
    DataError
        If there is no segmentation, or two files of one case.
    """
    images: list[tuple[str, Path]] = []
    labels: list[tuple[str, Path]] = []
    unused = 0
    for folder, names in walk(root):
        here: tuple[list[tuple[str, Path]], ...] = ([], [])
        for name in names:
            match = _PROMISE.fullmatch(stem(Path(name)))
            if match and is_volume_name(name):
                here[bool(match[2])].append((f"Case{match[1]}", folder / name))
        if here[1]:
            images += here[0]
            labels += here[1]
        else:
            unused += len(here[0])
    _require(labels, root, "file such as Case00_segmentation.mhd", "PROMISE12")
    note = f"Not used, because without segmentation: {unused} images of PROMISE12's test data."
    return FoundFiles(
        index_by_name("images", images), index_by_name("labels", labels), (note,) if unused else ()
    )


def find_prostatex(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of PROSTATEx: DICOM in folders ``ProstateX-0000``, masks of gland or zones.

    ``image_list.csv`` of the masks gives the number of the patient's series. Without it the axial T2
    series is chosen; if there are several, the one with the mask's size.

    Parameters
    ----------
    root
        Folder at or above the unpacked downloads.
    channels
        Not used.

    Raises
    ------
    DataError
        If there are no masks or no patients' folders, or two of one patient.
    """
    masks, listed = _prostatex_masks(root)
    folders = [
        (f"ProstateX-{match[1]}", folder)
        for folder, _ in walk(root)
        if (match := _PROSTATEX.fullmatch(folder.name)) and find_dicom_folders(folder)
    ]
    _require(masks, root, "mask in mask_prostate/ or named Seg-0000.nrrd", "PROSTATEx")
    _require(folders, root, "patient's folder of DICOM such as ProstateX-0000", "PROSTATEx")
    return _dicom_cases("PROSTATEx", index_by_name("folders", folders), masks, listed)


def _prostatex_masks(root: Path) -> tuple[dict[str, Path], dict[str, int]]:
    """(Patient's mask, number of the series on which it was drawn); numbers may be missing."""
    whole, zones = [], []
    listed: dict[str, int] = {}
    for path in _volumes_below(root):
        # Some files in mask_prostate have fewer digits: ProstateX-080 is patient 0080.
        number = re.search(r"\d+", path.name)
        zone = _ZONES.fullmatch(stem(path))
        if path.parent.name == "mask_prostate" and number:
            whole.append((f"ProstateX-{int(number[0]):04d}", path))
        elif zone:
            zones.append((f"ProstateX-{zone[1]}", path))
    for folder in {path.parent.parent for _, path in whole}:
        listed |= _series_numbers(folder / "image_list.csv")
    return index_by_name("masks", whole or zones), listed


def _series_numbers(path: Path) -> dict[str, int]:
    """Read ``image_list.csv``; ``ProstateX-0000_t2_tse_tra_4`` means series 4 of ProstateX-0000."""
    if not path.is_file():
        return {}
    try:
        lines = read_file(path).decode("utf-8-sig", errors="replace").splitlines()
        names = [value or "" for row in csv.DictReader(lines) for value in row.values()]
    except (OSError, csv.Error) as error:
        raise DataError(f"The list {path.name} cannot be read.", "Copy it again.") from error
    matches = (re.fullmatch(r"(ProstateX-\d{4})_.*?_?(\d+)", str(name).strip()) for name in names)
    return {match[1]: int(match[2]) for match in matches if match}


def _dicom_cases(
    name: str, folders: Mapping[str, Path], labels: Mapping[str, Path], listed: Mapping[str, int]
) -> FoundFiles:
    """Choose the series of every patient with a label; patients without one are only counted."""
    images: dict[str, Path] = {}
    problems: dict[str, DataError] = {}
    for patient in sorted(folders.keys() & labels.keys()):
        places = find_dicom_folders(folders[patient])
        if len(places) == 1:
            images[patient] = places[0]
        elif places:
            try:
                series = choose_series(
                    find_series(folders[patient]),
                    labels[patient],
                    number=listed.get(patient),
                    description=_T2_AXIAL,
                    case=patient,
                )
                images[patient] = series.folder
            except DataError as error:
                problems[patient] = error
    count = len(folders.keys() - labels.keys())
    note = f"Not used, because without label: {count} patients of {name}."
    return FoundFiles(images, labels, (note,) if count else (), problems)


def _volumes_below(root: Path) -> Iterator[Path]:
    for folder, names in walk(root):
        yield from (folder / name for name in names if is_volume_name(name))


def _require(found: object, root: Path, what: str, name: str) -> None:
    if not found:
        raise DataError(
            f"{root.name} holds no {what}, so it is not a folder of {name}.",
            "Set root to the folder that has the unpacked downloads.",
        )
