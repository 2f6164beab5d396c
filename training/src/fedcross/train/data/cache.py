"""Preprocessed volumes on disk, made once and memory-mapped by whoever needs them afterwards.

A volume is named after what it is made of: the contents of its files, the channel, the label map and
the preprocessing. Whatever changes there makes another one; nothing in the cache is ever out of date.
It may be deleted at any time when nobody trains.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedcross.errors import DataError, OutputError
from fedcross.runtime.atomic import atomic_folder
from fedcross.train.data.sources.folders import walk
from fedcross.train.data.volumes import CaseFiles, Volume
from fedcross.volumes.preprocessing import Preprocessing

FORM = 1  # of the files here and of the preprocessing; another number makes everything anew
IMAGE, LABEL = "image.npy", "label.npy"
_CHUNK = 1 << 20
_DETACHED = (".mhd", ".nhdr")  # headers whose voxels lie in other files


class VolumeCache:
    """A folder of preprocessed volumes; any number of processes may use it at the same time.

    Parameters
    ----------
    folder
        Made when something is put in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def volume(self, name: str, key: str, make: Callable[[], Volume]) -> Volume:
        """The volume of this key, memory-mapped; made and kept if it is not there, or damaged.

        Parameters
        ----------
        name
            Of the case; not part of what is kept.
        key
            From `cache_key`.
        make
            Reads and preprocesses the case.

        Raises
        ------
        OutputError
            If it cannot be written; nothing is left half-written.
        """
        place = self._folder / key
        found = _mapped(name, place)
        if found is None:
            made = make()
            try:
                with atomic_folder(place, durable=True) as partial:
                    _write(partial / IMAGE, made.image.numpy())
                    _write(partial / LABEL, made.label.numpy())
            except OutputError as error:
                if _mapped(name, place) is None:  # nobody else has just put it there
                    why = getattr(error.__cause__, "strerror", None) or "it cannot be written"
                    raise OutputError(
                        f"The preprocessed case {name} cannot be kept in the cache: {why}.",
                        "Make room, or choose another folder as cache.",
                    ) from error
            found = _mapped(name, place) or made
        return found


def cache_key(case: CaseFiles, label_map: Mapping[int, int], preprocessing: Preprocessing) -> str:
    """What a preprocessed case is made of, as a SHA-256 in hexadecimal.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    recipe = {
        "form": FORM,
        "channel": case.channel,
        "resample_label": case.resample_label,
        "label_map": sorted(label_map.items()),
        "preprocessing": preprocessing.model_dump(
            mode="json", include={"spacing_mm", "orientation", "intensity"}
        ),
    }
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode("utf-8"))
    try:
        for kind, path in (("image", case.image), ("label", case.label)):
            digest.update(kind.encode("ascii"))
            for file in _files(path):
                digest.update(_sha256(file))
    except OSError as error:
        raise DataError(
            f"A file of case {case.name} cannot be read: {error.strerror}.", "Copy it again."
        ) from error
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    """All files that an image consists of, in order."""
    if path.is_dir():
        for folder, names in walk(path):
            yield from (folder / name for name in names)
        return
    yield path
    if path.name.lower().endswith(_DETACHED):
        header = path.read_bytes().decode("latin-1")
        numbered = re.search(r"%\d*d", header) is not None
        for other in sorted(path.parent.iterdir()):
            if other != path and other.is_file() and (numbered or other.name in header):
                yield other


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def _write(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _mapped(name: str, place: Path) -> Volume | None:
    """What lies in a folder of the cache; None if that is nothing, or not what it should be."""
    try:
        image, label = _map(place / IMAGE, np.float32), _map(place / LABEL, np.uint8)
    except (OSError, EOFError, ValueError):
        return None
    if image.shape != label.shape:
        return None
    return Volume(name, torch.from_numpy(image), torch.from_numpy(label))


def _map(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    # "c": torch wants to be allowed to write; what it would write never reaches the file.
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    size = path.stat().st_size
    if array.dtype != dtype or array.ndim != 3 or array.offset + array.nbytes != size:
        raise ValueError(f"{path.name} does not hold a volume")
    return np.asarray(array)
