"""Folders of the Medical Segmentation Decathlon and of nnU-Net; no image is opened."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.contract.volume_names import is_volume_name, stem
from fedcross.errors import DataError
from fedcross.runtime.files.whole_file import read_file
from fedcross.training.data.sources.channels import ChannelChoice, ChannelFiles
from fedcross.training.data.sources.folders import require_folder
from fedcross.training.data.sources.pairs import FoundFiles, index_by_name


def find_msd(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of a folder of the Medical Segmentation Decathlon.

    The cases are those that ``dataset.json`` lists under "training". Its test images have no labels
    and are not used.

    Parameters
    ----------
    root
        Folder of one task, with ``dataset.json`` and ``imagesTr``.
    channels
        The channels to read, each a volume of the 4D images.

    Raises
    ------
    DataError
        If there is no valid ``dataset.json``, or it does not have these channels.
    """
    content = _dataset_json(root, "Medical Segmentation Decathlon")
    offered = content.get("modality")
    chosen = channels.choose(root, offered)
    is_4d = channels.indices is not None or len(offered or ()) > 1
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
    further = tuple(
        ChannelFiles(name, images, index)
        for name, index in zip(channels.names[1:], chosen[1:], strict=True)
    )
    return FoundFiles(
        images,
        labels,
        (note,) if extra else (),
        further=further,
        index=chosen[0] if is_4d else None,
    )


def find_nnunet(root: Path, channels: ChannelChoice) -> FoundFiles:
    """Find the cases of an nnU-Net raw data set, version 1 or 2.

    The files are ``imagesTr/CASE_0000.nii.gz``, with the channel's number at the end, and
    ``labelsTr/CASE.nii.gz``. If ``dataset.json`` has the key "dataset" (version 2), its paths are used
    instead.

    Parameters
    ----------
    root
        Folder of the data set, with ``dataset.json``.
    channels
        The channels to read, each in files of its own.

    Raises
    ------
    DataError
        If there is no valid ``dataset.json``, no image of the first channel, or it does not have these
        channels.
    """
    content = _dataset_json(root, "nnU-Net")
    names = content.get("channel_names", content.get("modality"))
    chosen = channels.choose(root, names)
    if isinstance(content.get("dataset"), dict):
        return _find_nnunet_listed(root, content["dataset"], channels.names, chosen)
    ending = str(content.get("file_ending") or ".nii.gz")
    images, *others = (_find_nnunet_channel(root, index, ending) for index in chosen)
    labels = {p.name[: -len(ending)]: p for p in _volumes(root / "labelsTr", ending)}
    if not images:
        raise DataError(
            f"imagesTr of {root.name} holds no file that ends with _{chosen[0]:04d}{ending}.",
            "An nnU-Net folder names its images CASE_0000 and so on; for a Decathlon folder write "
            "dataset = 'msd'.",
        )
    count = content.get("numTraining", len(images))
    note = f"dataset.json of {root.name} gives {count} training cases, found {len(images)}."
    return FoundFiles(
        images,
        labels,
        () if count == len(images) else (note,),
        further=tuple(map(ChannelFiles, channels.names[1:], others)),
    )


def _find_nnunet_channel(root: Path, index: int, ending: str) -> dict[str, Path]:
    suffix = f"_{index:04d}{ending}"
    return {p.name[: -len(suffix)]: p for p in _volumes(root / "imagesTr", suffix)}


def _find_nnunet_listed(
    root: Path, cases: Mapping[str, Any], names: Sequence[str], chosen: Sequence[int]
) -> FoundFiles:
    try:
        images, *others = (
            {name: root / case["images"][index] for name, case in cases.items()} for index in chosen
        )
        labels = {name: root / case["label"] for name, case in cases.items()}
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not give every case its images and its label."
        ) from error
    return FoundFiles(images, labels, further=tuple(map(ChannelFiles, names[1:], others)))


def _dataset_json(root: Path, kind: str) -> dict[str, Any]:
    require_folder(root)
    try:
        content = parse_json(read_file(root / "dataset.json").decode("utf-8-sig"))
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


def _volumes(folder: Path, ending: str | None = None) -> list[Path]:
    """The visible files of a folder with an ending, in upper or lower case; None for any volume."""
    if not folder.is_dir():
        raise DataError(
            f"{folder.parent.name} has no folder {folder.name}.", "Check root in the configuration."
        )
    return sorted(
        path
        for path in folder.iterdir()
        if _has_ending(path.name, ending) and not path.name.startswith(".")
    )


def _has_ending(name: str, ending: str | None) -> bool:
    return is_volume_name(name) if ending is None else name.lower().endswith(ending.lower())
