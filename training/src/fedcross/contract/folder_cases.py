"""The cases in a folder of volumes, by the names of the files; no file is opened.

For several channels the files of a case are named as nnU-Net names them: ``CASE_0000.nii.gz``,
``CASE_0001.nii.gz`` and so on, in the order of the channels.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedcross.contract.volume_names import is_volume_name, stem

FIRST = "_0000"
"""End of the name, before the ending, of the first channel's file of a case."""
_NUMBERED = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class FolderCase:
    """A case in a folder.

    Attributes
    ----------
    name
        Its name, unique in the folder.
    images
        The image of each channel. A file may be absent.
    """

    name: str
    images: tuple[Path, ...]


def find_cases(folder: Path, channels: int, *, is_nnunet: bool = False) -> list[FolderCase]:
    """Return the cases in a folder, sorted by name; an empty list if there is no volume.

    Parameters
    ----------
    folder
        Its volumes are files with one of the endings of `fedcross.contract.volume_names`, and folders,
        which may hold a DICOM series. Hidden ones are left out.
    channels
        Number of channels of the bundle. For one channel every volume is a case; its name is the file's
        without ending, and without ``_0000`` if all volumes have that.
    is_nnunet
        Whether all names are known to be those of nnU-Net. Then a case gets all images that it has, so
        that a wrong number is noticed.
    """
    volumes = list(_volumes(folder))
    if is_nnunet:
        return list(_numbered_cases(volumes, channels))
    if channels == 1 and not all(stem(path).endswith(FIRST) for path in volumes):
        stems = Counter(map(stem, volumes))  # two files may differ only in their ending
        return [
            FolderCase(stem(path) if stems[stem(path)] == 1 else path.name, (path,))
            for path in volumes
        ]
    return [_case(path, range(channels)) for path in volumes if stem(path).endswith(FIRST)]


def _volumes(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not entry.name.startswith(".") and (entry.is_dir() or is_volume_name(entry.name)):
            yield entry


def _case(first: Path, numbers: range) -> FolderCase:
    """The case of a first channel's file; a number is an index of a channel."""
    name, ending = stem(first).removesuffix(FIRST), first.name[len(stem(first)) :]
    files = (first.with_name(f"{name}_{number:04d}{ending}") for number in numbers)
    return FolderCase(name or stem(first), tuple(files))


def _numbered_cases(volumes: list[Path], channels: int) -> Iterator[FolderCase]:
    highest: dict[tuple[str, str], int] = {}
    for path in volumes:
        if found := _NUMBERED.fullmatch(stem(path)):
            key = (found[1], path.name[len(stem(path)) :])
            highest[key] = max(int(found[2]), highest.get(key, channels - 1))
    for (name, ending), last in sorted(highest.items()):
        yield _case(volumes[0].with_name(f"{name}{FIRST}{ending}"), range(last + 1))
