"""The four public prostate sets of Xu et al., MIDL 2023, in the layouts in which they come.

Each is found below a root folder, however deep the archives' own folders lie. In place of that every
one of them may also be there as the FedCross authors' code reads it: ``image`` and ``label`` (for the
Decathlon's ``imagesTr`` and ``labelsTr``) with one NIfTI file a case.

- MSD: Medical Segmentation Decathlon, Task05_Prostate (http://medicaldecathlon.com).
- NCI-ISBI 2013: TCIA, "NCI-ISBI 2013 Challenge - Automated Segmentation of Prostate Structures"
  (doi 10.7937/K9/TCIA.2015.zF0vlOPv); DICOM by patient, labels as NRRD.
- PROMISE12: https://promise12.grand-challenge.org; MetaImage.
- PROSTATEx: TCIA (doi 10.7937/K9TCIA.2017.MURS5CL); DICOM by patient, masks from others: NIfTI of
  Cuocolo et al., "PROSTATEx masks" (Eur J Radiol 2021), or NRRD of Holmlund et al., "ProstateZones".
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fedcross.errors import DataError
from fedcross.train.data.sources.dicom_series import choose_series, dicom_folders, series_below
from fedcross.train.data.sources.folders import EXTENSIONS, require_folder, stem, walk
from fedcross.train.data.sources.layouts import Found, msd, pair, unique

Finder = Callable[[Path, int | None], Found]

_NCI = re.compile(r"Prostate(?:3T|Dx)-\d{2}-\d{4}")
_PROMISE = re.compile(r"Case(\d+)(_segmentation)?", re.IGNORECASE)
_PROSTATEX = re.compile(r"ProstateX-(\d{4})", re.IGNORECASE)
_ZONES = re.compile(r"Seg-(\d{4})(?:_R1)?")  # of a test case's two readers the first
_T2_AXIAL = r"t2.*(tra|ax)"


def either_layout(native: Finder) -> Finder:
    """A finder for what the authors' code reads, where it is there, and for the native layout."""

    def find(root: Path, channel: int | None) -> Found:
        require_folder(root)
        if (root / "image").is_dir() and (root / "label").is_dir():
            return pair(root, "image", "label")
        return native(root, channel)

    return find


def msd_prostate(root: Path, channel: int | None) -> Found:
    """Task05_Prostate: 4D images, of which channel 0 is T2 and channel 1 the diffusion map."""
    require_folder(root)
    if (root / "imagesTr").is_dir() and not (root / "dataset.json").is_file():
        return pair(root, "imagesTr", "labelsTr")
    folders = [folder for folder, names in walk(root) if "dataset.json" in names]
    return msd(folders[0] if len(folders) == 1 else root, channel)


def nci_isbi_2013(root: Path, channel: int | None) -> Found:
    """DICOM in folders named as the patients, labels ``PATIENT.nrrd`` (``_truth``, ``_corrected...``).

    Labels lie in Training, Leaderboard and Test; many are stored in another order of axes, some on
    another grid than the images.
    """
    plain: list[tuple[str, Path]] = []
    corrected: list[tuple[str, Path]] = []
    folders: list[tuple[str, Path]] = []
    for folder, names in walk(root):
        if _NCI.fullmatch(folder.name):
            folders.append((folder.name, folder))
        for name in names:
            match = _NCI.match(name)
            if match and name.endswith(".nrrd"):
                kind = corrected if "corrected" in name.lower() else plain
                kind.append((match[0], folder / name))
    labels = {**unique("labels", plain), **unique("labels", corrected)}
    _require(labels, root, "label such as Prostate3T-01-0001.nrrd", "NCI-ISBI 2013")
    _require(folders, root, "patient's folder such as Prostate3T-01-0001", "NCI-ISBI 2013")
    return _dicom_cases("NCI-ISBI 2013", unique("folders", folders), labels, {})


def promise12(root: Path, channel: int | None) -> Found:
    """``CaseXX.mhd`` with ``CaseXX_segmentation.mhd`` beside it.

    Folders without any segmentation (the challenge's test data) are left aside.
    """
    images: list[tuple[str, Path]] = []
    labels: list[tuple[str, Path]] = []
    aside = 0
    for folder, names in walk(root):
        here: tuple[list[tuple[str, Path]], ...] = ([], [])
        for name in names:
            match = _PROMISE.fullmatch(stem(Path(name)))
            if match and name.endswith(EXTENSIONS):
                here[bool(match[2])].append((f"Case{match[1]}", folder / name))
        if here[1]:
            images += here[0]
            labels += here[1]
        else:
            aside += len(here[0])
    _require(labels, root, "file such as Case00_segmentation.mhd", "PROMISE12")
    note = f"{aside} images of PROMISE12's test data have no segmentation and are left aside."
    return Found(unique("images", images), unique("labels", labels), (note,) if aside else ())


def prostatex(root: Path, channel: int | None) -> Found:
    """DICOM in folders ``ProstateX-0000``, masks of the whole gland or of its zones.

    Of a patient's series the mask's ``image_list.csv`` names the right one; without it, it is the
    axial T2 series, and of several the one of the mask's size.
    """
    masks, listed = _prostatex_masks(root)
    folders = [
        (f"ProstateX-{match[1]}", folder)
        for folder, _ in walk(root)
        if (match := _PROSTATEX.fullmatch(folder.name)) and dicom_folders(folder)
    ]
    _require(masks, root, "mask in mask_prostate/ or named Seg-0000.nrrd", "PROSTATEx")
    _require(folders, root, "patient's folder of DICOM such as ProstateX-0000", "PROSTATEx")
    return _dicom_cases("PROSTATEx", unique("folders", folders), masks, listed)


def _prostatex_masks(root: Path) -> tuple[dict[str, Path], dict[str, int]]:
    """The masks by patient, and which series they were drawn on, as far as that is told."""
    whole, zones = [], []
    listed: dict[str, int] = {}
    for path in _volumes_below(root):
        # Files there are named a little irregularly: ProstateX-080 is patient 0080.
        number = re.search(r"\d+", path.name)
        zone = _ZONES.fullmatch(stem(path))
        if path.parent.name == "mask_prostate" and number:
            whole.append((f"ProstateX-{int(number[0]):04d}", path))
        elif zone:
            zones.append((f"ProstateX-{zone[1]}", path))
    for folder in {path.parent.parent for _, path in whole}:
        listed |= _series_numbers(folder / "image_list.csv")
    return unique("masks", whole or zones), listed


def _series_numbers(path: Path) -> dict[str, int]:
    """``ProstateX-0000_t2_tse_tra_4``: patient 0000, series 4."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [value or "" for row in csv.DictReader(file) for value in row.values()]
    matches = (re.fullmatch(r"(ProstateX-\d{4})_.*?_?(\d+)", str(name).strip()) for name in names)
    return {match[1]: int(match[2]) for match in matches if match}


def _dicom_cases(
    name: str, folders: Mapping[str, Path], labels: Mapping[str, Path], listed: Mapping[str, int]
) -> Found:
    """Find the series of every patient who has a label; the others are no mistake in these sets."""
    images: dict[str, Path] = {}
    problems: dict[str, DataError] = {}
    for patient in sorted(folders.keys() & labels.keys()):
        places = dicom_folders(folders[patient])
        if len(places) == 1:
            images[patient] = places[0]
        elif places:
            try:
                series = choose_series(
                    series_below(folders[patient]),
                    labels[patient],
                    number=listed.get(patient),
                    description=_T2_AXIAL,
                    case=patient,
                )
                images[patient] = series.folder
            except DataError as error:
                problems[patient] = error
    count = len(folders.keys() - labels.keys())
    note = f"{count} patients of {name} have no label and are left aside."
    return Found(images, labels, (note,) if count else (), problems)


def _volumes_below(root: Path) -> Iterator[Path]:
    for folder, names in walk(root):
        yield from (folder / name for name in names if name.endswith(EXTENSIONS))


def _require(found: object, root: Path, what: str, name: str) -> None:
    if not found:
        raise DataError(
            f"{root.name} holds no {what}, so it is no folder of {name}.",
            "Point root at the folder that has the unpacked downloads.",
        )
