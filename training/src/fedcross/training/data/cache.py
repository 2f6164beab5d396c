"""A cache of preprocessed volumes on disk; a volume is written once and memory-mapped afterwards.

A volume's key is a hash of everything that determines it: the contents of its files, the channel, the
label map and the preprocessing. A change of any of them gives another key, so that the cache is never
out of date. It may be deleted whenever no training uses it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fedcross.errors import DataError, OutputError
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.training.data.volumes import CaseFiles, Volume
from fedcross.volumes.files.content import add_content
from fedcross.volumes.preprocessing import Preprocessing

FORMAT_VERSION = 1  # of these files and of the preprocessing; another number gives other keys
IMAGE, LABEL = "image.npy", "label.npy"


class VolumeCache:
    """A folder of preprocessed volumes; any number of processes may use it at the same time.

    After a volume that cannot be written, the cache is read only: further volumes stay in memory.

    Parameters
    ----------
    folder
        Folder of the cache; created when the first volume is written.
    warn
        Receives a sentence when the cache becomes read only.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder, self._warn = folder, warn
        self._is_read_only = False

    def volume(self, name: str, key: str, make: Callable[[], Volume]) -> Volume:
        """Load a volume, memory-mapped; it is made and written first if it is absent or damaged.

        Parameters
        ----------
        name
            Name of the case, given to the returned volume; it is not stored.
        key
            Key of the volume, see `cache_key`.
        make
            Reads and preprocesses the case.
        """
        place = self._folder / key
        found = _load(name, place)
        if found is None:
            made = make()
            if not self._is_read_only:
                self._write(place, made)
            found = _load(name, place) or made
        return found

    def _write(self, place: Path, volume: Volume) -> None:
        try:
            with atomic_folder(place, durable=True) as partial:
                _write(partial / IMAGE, volume.image.numpy())
                _write(partial / LABEL, volume.label.numpy())
        except OutputError as error:
            if _load(volume.name, place) is None:  # no other process has written it meanwhile
                why = getattr(error.__cause__, "strerror", None) or "unknown error"
                self._is_read_only = True
                self._warn(
                    f"The cache {self._folder.name} cannot be written: {why}. Preprocessed cases stay "
                    "in memory and are preprocessed again by the next run. Free disk space, or choose "
                    "another folder as cache."
                )


def cache_key(case: CaseFiles, label_map: Mapping[int, int], preprocessing: Preprocessing) -> str:
    """Compute the key of a preprocessed case: a SHA-256 in hexadecimal.

    Parameters
    ----------
    case
        Its files, whose contents are hashed, and its channel.
    label_map
        Value in the label file to the structure's label.
    preprocessing
        Spacing, orientation and intensity normalisation are part of the key; the patches are not.

    Raises
    ------
    DataError
        If a file cannot be read.
    """
    recipe: dict[str, Any] = {
        "form": FORMAT_VERSION,
        "channel": case.channel,
        "resample_label": case.resample_label,
        "label_map": sorted(label_map.items()),
        "preprocessing": preprocessing.model_dump(
            mode="json", exclude={"patch_size", "overlap", "modality", "channels"}
        ),
    }
    if case.further:
        paths = list(dict.fromkeys(image.path for image in case.further))
        recipe["further"] = [(paths.index(image.path), image.channel) for image in case.further]
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode("utf-8"))
    try:
        further = [("further", path) for path in dict.fromkeys(each.path for each in case.further)]
        for kind, path in (("image", case.image), ("label", case.label), *further):
            digest.update(kind.encode("ascii"))
            add_content(digest, path)
    except OSError as error:
        raise DataError(
            f"A file of case {case.name} cannot be read: {error.strerror}.", "Copy it again."
        ) from error
    return digest.hexdigest()


def _write(path: Path, array: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _load(name: str, place: Path) -> Volume | None:
    """Load the volume in a folder of the cache; None if it is absent or damaged."""
    try:
        image, label = _memory_map(place / IMAGE, np.float32), _memory_map(place / LABEL, np.uint8)
    except (OSError, EOFError, ValueError):
        return None
    if image.ndim == 3:  # version 0.1.0 wrote one channel without an axis
        image = image[None]
    if image.shape[1:] != label.shape or label.ndim != 3:
        return None
    return Volume(name, torch.from_numpy(image), torch.from_numpy(label))


def _memory_map(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    # Mode "c" (copy on write): torch needs a writable array; changes are not written to the file.
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    size = path.stat().st_size
    if array.dtype != dtype or array.offset + array.nbytes != size:
        raise ValueError(f"{path.name} does not hold a volume")
    return np.asarray(array)
