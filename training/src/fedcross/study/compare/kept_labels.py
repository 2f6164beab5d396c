"""The label maps of the example on the page, in files, so that a second call does not segment again."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import OutputError
from fedcross.runtime.files.atomic import atomic_file
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.versions import __version__
from fedcross.training.data.cache import cache_key
from fedcross.training.data.volumes import CaseFiles, Site
from fedcross.training.run.folder import CONFIG, TEST, RunFolder

_END = ".npz"


def labels_key(case: CaseFiles, site: Site, run: RunFolder) -> str:
    """Return what determines the label map of a case, as one SHA-256 in hexadecimal.

    That is the content of the case's files, the site, the configuration and the test figures of the
    run, which follow from its members, and the version of this package.

    Raises
    ------
    CheckpointError, DataError
        If a file of the run or of the case cannot be read.
    """
    preprocessing = run.configuration().preprocessing
    recipe = {
        "version": __version__,
        "files": cache_key(case, site.label_map, preprocessing),
        "site": site.name,
        "run": [run.read(CONFIG), run.read(TEST)],
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode("utf-8")).hexdigest()


class KeptLabels:
    """Label maps in a folder, each in a file that is named by its key.

    Parameters
    ----------
    folder
        The folder; made when the first label map is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def read(self, key: str, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Return a label map, uint8 (D, H, W); None if there is no file, or a damaged one.

        Parameters
        ----------
        key
            See `labels_key`.
        shape
            (D, H, W) of the label map.
        """
        found = _load(self._path(key), key)
        return found if found is not None and found.shape == shape else None

    def write(self, key: str, labels: NDArray[np.uint8]) -> None:
        """Keep a label map, uint8 (D, H, W).

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        make_folder(self._folder)
        with atomic_file(self._path(key)) as file:
            np.savez_compressed(file, key=np.array(key), labels=labels)

    def drop_others(self) -> None:
        """Remove the files of label maps that were neither read nor written.

        Raises
        ------
        OutputError
            If one cannot be removed.
        """
        try:
            for path in self._folder.glob(f"*{_END}"):
                if path.name not in self._used:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"Old files in {self._folder.name} cannot be removed: {error.strerror}."
            ) from error

    def _path(self, key: str) -> Path:
        path = self._folder / f"{key[:32]}{_END}"
        self._used.add(path.name)
        return path


def _load(path: Path, key: str) -> NDArray[np.uint8] | None:
    """Return the label map in a file; None if there is none, or it is damaged or of another key."""
    try:
        # Opened here, because NumPy does not close a damaged file.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            is_right = content["key"] == key and content["labels"].dtype == np.uint8
            return np.asarray(content["labels"]) if is_right else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
