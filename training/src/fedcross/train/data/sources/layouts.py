"""Generic layouts of data on disk: two folders, two patterns, a Decathlon folder, an nnU-Net folder.

Every layout is read into `FoundFiles`: images and labels, each by the case's name. No image is opened.
A case may lack its image or its label here; `fedcross.train.data.cases` reports it.
"""

import glob
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.train.data.sources.folders import EXTENSIONS, require_folder, stem

_WILDCARDS = {"*": ".*", "?": "."}


@dataclass(frozen=True)
class FoundFiles:
    """The files of a data set.

    Attributes
    ----------
    images, labels
        Case's name to its file or DICOM folder. A file that the data set lists may be absent.
    notes
        Remarks about the data set, one sentence each, for example which files are not used.
    problems
        Case's name to the error that makes the case unusable.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    notes: tuple[str, ...] = ()
    problems: Mapping[str, DataError] = field(default_factory=dict)


def find_pairs(root: Path, images: str, labels: str) -> FoundFiles:
    """Find images and labels in two folders or with two glob patterns.

    In a folder the file name without extension is the case's name; with a pattern it is the text that
    the wildcards match, see `name_from_pattern`. A file that `labels` matches is not an image: with
    ``Case*_segmentation.nii.gz`` as `labels`, ``Case*.nii.gz`` may be `images` in the same folder.

    Parameters
    ----------
    root
        Folder that `images` and `labels` are relative to.
    images, labels
        Folder or glob pattern.

    Raises
    ------
    DataError
        If a folder is absent, no file is found, a name occurs twice, or both find the same files.
    """
    drawn = _find_by_name("labels", root, labels)
    pictures = _find_by_name("images", root, images, apart_from=set(drawn.values()))
    return FoundFiles(pictures, drawn)


def find_msd(root: Path, channel: int | None) -> FoundFiles:
    """Find the cases of a folder of the Medical Segmentation Decathlon.

    The cases are those that ``dataset.json`` lists under "training". Its test images have no labels
    and are not used.

    Parameters
    ----------
    root
        Folder of one task, with ``dataset.json`` and ``imagesTr``.
    channel
        Index from 0 of the channel to read; None is allowed if the images have one channel.

    Raises
    ------
    DataError
        If there is no valid ``dataset.json``, or `channel` is not one of several channels.
    """
    content = _dataset_json(root, "Medical Segmentation Decathlon")
    _check_channel(root, channel, content.get("modality"))
    try:
        listed = [(root / entry["image"], root / entry["label"]) for entry in content["training"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not list its training cases as image and label.",
            "For an nnU-Net folder write dataset = 'nnunet'.",
        ) from error
    images = index_by_name("images", ((stem(image), image) for image, _ in listed))
    labels = {stem(image): label for image, label in listed}
    extra = sorted(
        {path.name for path in _volumes(root / "imagesTr")} - {p.name for p, _ in listed}
    )
    note = f"Not in dataset.json of {root.name}, therefore not used: {', '.join(extra)}."
    return FoundFiles(images, labels, (note,) if extra else ())


def find_nnunet(root: Path, channel: int | None) -> FoundFiles:
    """Find the cases of an nnU-Net raw data set, version 1 or 2.

    The files are ``imagesTr/CASE_0000.nii.gz``, with the channel's number at the end, and
    ``labelsTr/CASE.nii.gz``. If ``dataset.json`` has the key "dataset" (version 2), its paths are used
    instead.

    Parameters
    ----------
    root
        Folder of the data set, with ``dataset.json``.
    channel
        Index from 0 of the channel to read; None is allowed if the images have one channel.

    Raises
    ------
    DataError
        If there is no valid ``dataset.json``, no image, or `channel` is not one of several channels.
    """
    content = _dataset_json(root, "nnU-Net")
    names = content.get("channel_names", content.get("modality"))
    number = _check_channel(root, channel, names)
    if isinstance(content.get("dataset"), dict):
        return _find_nnunet_listed(root, content["dataset"], number)
    ending = str(content.get("file_ending", ".nii.gz"))
    suffix = f"_{number:04d}{ending}"
    images = {p.name.removesuffix(suffix): p for p in _volumes(root / "imagesTr", suffix)}
    labels = {p.name.removesuffix(ending): p for p in _volumes(root / "labelsTr", ending)}
    if not images:
        raise DataError(
            f"imagesTr of {root.name} holds no file that ends with {suffix}.",
            "An nnU-Net folder names its images CASE_0000 and so on; for a Decathlon folder write "
            "dataset = 'msd'.",
        )
    count = content.get("numTraining", len(images))
    note = f"dataset.json of {root.name} gives {count} training cases, found {len(images)}."
    return FoundFiles(images, labels, () if count == len(images) else (note,))


def _find_nnunet_listed(root: Path, cases: Mapping[str, Any], channel: int) -> FoundFiles:
    try:
        images = {name: root / case["images"][channel] for name, case in cases.items()}
        labels = {name: root / case["label"] for name, case in cases.items()}
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not give every case its images and its label."
        ) from error
    return FoundFiles(images, labels)


def _dataset_json(root: Path, kind: str) -> dict[str, Any]:
    require_folder(root)
    try:
        content = json.loads((root / "dataset.json").read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(
            f"{root.name} has no dataset.json, so it is not a {kind} folder.",
            "Set root to the folder that has one; for plain folders use images and labels.",
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"dataset.json of {root.name} cannot be read.") from error
    if not isinstance(content, dict):
        raise DataError(f"dataset.json of {root.name} is not a JSON object.")
    return content


def _check_channel(root: Path, channel: int | None, names: Any) -> int:
    """Return the index of the channel to read; `names` are the channels in ``dataset.json``.

    `channel` may be None only if there is one channel.
    """
    channels = {str(key): str(name) for key, name in dict(names or {"0": "image"}).items()}
    if len(channels) == 1 and channel in (None, 0):
        return 0
    if channel is None or str(channel) not in channels:
        listed = ", ".join(f"{key} ({name})" for key, name in channels.items())
        raise DataError(
            f"The images of {root.name} have the channels {listed}, got channel = {channel}.",
            "Set the site's channel to one of them.",
        )
    return channel


def index_by_name(kind: str, named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Make a dict of (name, path) pairs; raise DataError if a name occurs twice."""
    found: dict[str, Path] = {}
    for name, path in named:
        if name in found:
            raise DataError(
                f"There are two {kind} for case {name}: {_display_name(found[name], path)} and "
                f"{_display_name(path, found[name])}.",
                "Remove one of them.",
            )
        found[name] = path
    return found


def _display_name(path: Path, other: Path) -> str:
    """The file's name; with its folder's name in front if `other` has the same file name."""
    return path.name if path.name != other.name else f"{path.parent.name}/{path.name}"


def _volumes(folder: Path, ending: str | tuple[str, ...] = EXTENSIONS) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            f"{folder.parent.name} has no folder {folder.name}.", "Check root in the configuration."
        )
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith(ending) and not path.name.startswith(".")
    )


def _find_by_name(
    kind: str, root: Path, place: str, apart_from: Collection[Path] = ()
) -> dict[str, Path]:
    folder = root / place
    if folder.is_dir():
        named = [(stem(path), path) for path in folder.iterdir() if _is_volume(path)]
    elif glob.has_magic(place):
        found = glob.glob(place, root_dir=root)
        named = [(name_from_pattern(place, path), root / path) for path in found]
    else:
        raise DataError(
            f"The folder {folder.name} for the {kind} does not exist.",
            "Check the configuration and --data.",
        )
    if not named:
        raise DataError(f"There are no {kind} in {folder.name}.", "Check the configuration.")
    kept = [(name, path) for name, path in named if path not in apart_from]
    if not kept:
        raise DataError(
            f"All {kind} in {folder.name} are also labels.",
            "Give images and labels different folders or patterns.",
        )
    return index_by_name(kind, sorted(kept))


def _is_volume(path: Path) -> bool:
    """Whether a path is a volume's file or a folder (of a DICOM series), and not hidden."""
    return not path.name.startswith(".") and (path.is_dir() or path.name.endswith(EXTENSIONS))


def name_from_pattern(pattern: str, path: str) -> str:
    """The case's name: the texts that the wildcards of a glob pattern match in a path.

    The texts of one folder or file name are joined; those of different levels are joined by "-",
    each text once. ``sub-*/anat/sub-*_T2w.nii.gz`` and ``sub-01/anat/sub-01_T2w.nii.gz`` give "01". A
    path without any matched text gives its file name.
    """
    parts = []
    for wanted, name in zip(Path(pattern).parts, Path(path).parts, strict=True):
        match = re.fullmatch(_expression(wanted), name)
        parts.append("".join(match.groups()) if match else name)
    return "-".join(dict.fromkeys(part for part in parts if part)) or Path(path).name


def _expression(pattern: str) -> str:
    """Translate one part of a glob pattern to a regular expression with a group per wildcard."""
    parts = re.split(r"(\*|\?|\[[^\]]+\])", pattern)  # text, wildcard, text, wildcard ... text
    return "".join(
        f"({_WILDCARDS.get(part, part.replace('[!', '[^'))})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
