"""Find images and labels in folders or with glob patterns, and pair them by the case's name.

Every layout of a data set is read into `FoundFiles`: images and labels, each by the case's name. No
image is opened. A case may lack its image or its label here; `fedcross.training.data.cases` reports it.
"""

import glob
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fedcross.contract.volume_names import is_volume_name, stem
from fedcross.errors import DataError
from fedcross.training.data.sources.channels import ChannelFiles
from fedcross.volumes.files.checks import FORMATS

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
    further
        The files of the further channels; empty for one channel.
    index
        Index from 0 of the first channel in 4D images; None if the images are 3D, or the site's
        configuration decides.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    notes: tuple[str, ...] = ()
    problems: Mapping[str, DataError] = field(default_factory=dict)
    further: tuple[ChannelFiles, ...] = ()
    index: int | None = None

    def with_volumes_of_4d(self, indices: Sequence[int], names: Sequence[str]) -> "FoundFiles":
        """Return the same files, whose 4D images hold all channels.

        Parameters
        ----------
        indices
            Index from 0 of each channel in the images.
        names
            Names of the channels.
        """
        further = tuple(
            ChannelFiles(name, self.images, index)
            for name, index in zip(names[1:], indices[1:], strict=True)
        )
        return replace(self, index=indices[0], further=further)


def find_pairs(
    root: Path, images: str, labels: str, further: Mapping[str, str] | None = None
) -> FoundFiles:
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
    further
        Name of each further channel to its folder or glob pattern; None for one channel.

    Raises
    ------
    DataError
        If a folder is absent, no file is found, a name occurs twice, or both find the same files.
    """
    drawn = _find_by_name("labels", root, labels)
    pictures = _find_by_name("images", root, images, apart_from=set(drawn.values()))
    others = tuple(
        ChannelFiles(name, _find_by_name(f"images for {name}", root, place, set(drawn.values())))
        for name, place in (further or {}).items()
    )
    return FoundFiles(pictures, drawn, further=others)


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
        is_short = place.startswith("~") or "$" in place or "%" in place
        raise DataError(
            f"The folder {place if is_short else folder.name} for the {kind} does not exist.",
            "Write the path in full: ~ and the names of variables are not replaced."
            if is_short
            else "Check the configuration and --data.",
        )
    if not named:
        raise _nothing_found(kind, folder)
    kept = [(name, path) for name, path in named if path not in apart_from]
    if not kept:
        raise DataError(
            f"All {kind} in {folder.name} are also labels.",
            "Give images and labels different folders or patterns.",
        )
    return index_by_name(kind, sorted(kept))


def _nothing_found(kind: str, folder: Path) -> DataError:
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not others:
        return DataError(f"There are no {kind} in {folder.name}.", "Check the configuration.")
    return DataError(
        f"There are no {kind} in {folder.name}: none of its {len(others)} files is a volume, for "
        f"example {others[0]}.",
        FORMATS,
    )


def _is_volume(path: Path) -> bool:
    """Whether a path is a volume's file or a folder (of a DICOM series), and not hidden."""
    return not path.name.startswith(".") and (path.is_dir() or is_volume_name(path.name))


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
