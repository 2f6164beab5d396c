"""Folders of the Medical Segmentation Decathlon and of nnU-Net; no image is opened."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcross.errors import DataError
from fedcross.train.data.sources.folders import EXTENSIONS, require_folder, stem
from fedcross.train.data.sources.pairs import FoundFiles, index_by_name


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
