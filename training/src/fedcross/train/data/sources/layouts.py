"""Generic layouts of data on disk: two folders, a list, an MSD folder, an nnU-Net raw folder.

Only names are looked at here, no image is opened. What every layout comes down to is `Found`: images
and labels, each by the case's name; whoever pairs them says which half is missing.
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
class Found:
    """What a layout holds.

    Attributes
    ----------
    images, labels
        By the case's name; a file that is listed somewhere need not be there.
    notes
        What is worth knowing, one sentence each: above all what was left aside, and why.
    problems
        What is wrong with single cases, by name: one sentence, and what to do.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    notes: tuple[str, ...] = ()
    problems: Mapping[str, DataError] = field(default_factory=dict)


def pair(root: Path, images: str, labels: str) -> Found:
    """Two folders (cases named by their files) or two glob patterns (by what the wildcards match).

    ``sub-*/anat/sub-*_T2w.nii.gz`` finds case 01 in ``sub-01/anat/sub-01_T2w.nii.gz``: what several
    folders and the file have in common is said once. Where both lie in one folder, ``Case*.nii.gz`` may
    mean the images beside ``Case*_segmentation.nii.gz``: what is a label is no image.

    Parameters
    ----------
    root
        Folder that `images` and `labels` are relative to.

    Raises
    ------
    DataError
        If one is absent or empty, a name occurs twice in it, or both find the same files.
    """
    drawn = _by_name("labels", root, labels)
    pictures = _by_name("images", root, images, apart_from=set(drawn.values()))
    return Found(pictures, drawn)


def msd(root: Path, channel: int | None) -> Found:
    """A folder of the Medical Segmentation Decathlon.

    ``dataset.json`` lists the training cases; the test images have no labels and are left aside.

    Raises
    ------
    DataError
        If there is no ``dataset.json``, it is none of the Decathlon's, or the images have several
        channels and `channel` names none of them.
    """
    content = _dataset_json(root, "Medical Segmentation Decathlon")
    _check_channel(root, channel, content.get("modality"), always=False)
    try:
        listed = [(root / entry["image"], root / entry["label"]) for entry in content["training"]]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not list its training cases as image and label.",
            "For an nnU-Net folder write dataset = 'nnunet'.",
        ) from error
    images = unique("images", ((stem(image), image) for image, _ in listed))
    labels = {stem(image): label for image, label in listed}
    extra = sorted(
        {path.name for path in _volumes(root / "imagesTr")} - {p.name for p, _ in listed}
    )
    note = f"Not in dataset.json of {root.name}, and left aside: {', '.join(extra)}."
    return Found(images, labels, (note,) if extra else ())


def nnunet(root: Path, channel: int | None) -> Found:
    """An nnU-Net raw data set, version 1 or 2.

    ``imagesTr/CASE_0000.nii.gz`` with the channel's number at the end, ``labelsTr/CASE.nii.gz``; or
    the paths that version 2 lets ``dataset.json`` name under "dataset".

    Raises
    ------
    DataError
        If there is no ``dataset.json``, or the images have several channels and `channel` names
        none of them.
    """
    content = _dataset_json(root, "nnU-Net")
    names = content.get("channel_names", content.get("modality"))
    number = _check_channel(root, channel, names, always=True)
    if isinstance(content.get("dataset"), dict):
        return _nnunet_listed(root, content["dataset"], number)
    ending = str(content.get("file_ending", ".nii.gz"))
    suffix = f"_{number:04d}{ending}"
    images = {p.name.removesuffix(suffix): p for p in _volumes(root / "imagesTr", suffix)}
    labels = {p.name.removesuffix(ending): p for p in _volumes(root / "labelsTr", ending)}
    if not images:
        raise DataError(
            f"imagesTr of {root.name} holds no file that ends with {suffix}.",
            "An nnU-Net folder names its images CASE_0000 and so on; a Decathlon folder is "
            "dataset = 'msd'.",
        )
    told = content.get("numTraining", len(images))
    note = f"dataset.json of {root.name} tells of {told} training cases, {len(images)} are there."
    return Found(images, labels, () if told == len(images) else (note,))


def _nnunet_listed(root: Path, cases: Mapping[str, Any], channel: int) -> Found:
    try:
        images = {name: root / case["images"][channel] for name, case in cases.items()}
        labels = {name: root / case["label"] for name, case in cases.items()}
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not give every case its images and its label."
        ) from error
    return Found(images, labels)


def _dataset_json(root: Path, kind: str) -> dict[str, Any]:
    require_folder(root)
    try:
        content = json.loads((root / "dataset.json").read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(
            f"{root.name} has no dataset.json, so it is no folder of the {kind} kind.",
            "Point root at the folder that has one; for plain folders use images and labels.",
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"dataset.json of {root.name} cannot be read.") from error
    if not isinstance(content, dict):
        raise DataError(f"dataset.json of {root.name} is no JSON object.")
    return content


def _check_channel(root: Path, channel: int | None, names: Any, *, always: bool) -> int:
    """The channel to take; of several, somebody has to say which."""
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


def unique(kind: str, named: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """By name; DataError if one occurs twice."""
    found: dict[str, Path] = {}
    for name, path in named:
        if name in found:
            raise DataError(
                f"There are two {kind} for case {name}: {_told(found[name], path)} and "
                f"{_told(path, found[name])}.",
                "Remove one of them.",
            )
        found[name] = path
    return found


def _told(path: Path, other: Path) -> str:
    """A file by name, and by its folder's too where the names are the same."""
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


def _by_name(
    kind: str, root: Path, place: str, apart_from: Collection[Path] = ()
) -> dict[str, Path]:
    folder = root / place
    if folder.is_dir():
        named = [(stem(path), path) for path in folder.iterdir() if _is_volume(path)]
    elif glob.has_magic(place):
        found = glob.glob(place, root_dir=root)
        named = [(matched(place, path), root / path) for path in found]
    else:
        raise DataError(
            f"The {kind} should be in {folder.name}, but there is no such folder.",
            "Check the configuration and --data.",
        )
    if not named:
        raise DataError(f"There are no {kind} in {folder.name}.", "Check the configuration.")
    apart = [(name, path) for name, path in named if path not in apart_from]
    if not apart:
        raise DataError(
            f"The {kind} in {folder.name} are the labels.", "Let images and labels differ."
        )
    return unique(kind, sorted(apart))


def _is_volume(path: Path) -> bool:
    """A volume's file, or a folder (of a DICOM series); what systems hide is none of them."""
    return not path.name.startswith(".") and (path.is_dir() or path.name.endswith(EXTENSIONS))


def matched(pattern: str, path: str) -> str:
    """What the wildcards of a glob pattern match in a path, without what was matched before."""
    parts = []
    for wanted, name in zip(Path(pattern).parts, Path(path).parts, strict=True):
        match = re.fullmatch(_expression(wanted), name)
        parts.append("".join(match.groups()) if match else name)
    return "-".join(dict.fromkeys(part for part in parts if part)) or Path(path).name


def _expression(pattern: str) -> str:
    """A regular expression with a group for every wildcard."""
    parts = re.split(r"(\*|\?|\[[^\]]+\])", pattern)  # text, wildcard, text, wildcard ... text
    return "".join(
        f"({_WILDCARDS.get(part, part.replace('[!', '[^'))})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
