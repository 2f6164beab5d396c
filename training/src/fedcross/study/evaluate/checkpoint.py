"""The figures of each finished case in a file, so that an evaluation can be continued."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from fedcross.calibration.labelled_cases import LabelledCase
from fedcross.model.bundle import Bundle
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.versions import __version__
from fedcross.study.evaluate.figures import CaseFigures, Figures
from fedcross.study.evaluate.request import EvaluationOptions
from fedcross.training.data.cache import cache_key

CASES = "cases"


class _Checkpoint(Figures):
    """A file of a finished case; `key` is that of `case_key`."""

    key: str
    figures: CaseFigures


def case_key(case: LabelledCase, bundle: Bundle, options: EvaluationOptions) -> str:
    """Return what determines the figures of a case, as one SHA-256 in hexadecimal.

    That is the bundle, the contents of the case's files, the meaning of its labels, the options and
    the version of this package.

    Raises
    ------
    DataError
        If a file of the case cannot be read.
    """
    recipe = {
        "version": __version__,
        "bundle": bundle.sha256,
        "files": cache_key(case.files, case.label_map, bundle.manifest.preprocessing),
        "case": [case.site, case.part, case.name, sorted(case.missing)],
        "options": asdict(options),
    }
    text = json.dumps(recipe, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Checkpoints:
    """The files of the finished cases below the folder of an evaluation.

    Parameters
    ----------
    out
        Folder of the evaluation; the files are in its folder ``cases``.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / CASES

    def read(self, key: str) -> CaseFigures | None:
        """Return the figures of a finished case; None if there are none, or the file is damaged."""
        try:
            text = self._path(key).read_text(encoding="utf-8")
            found = _Checkpoint.model_validate_json(text)
        except (OSError, UnicodeDecodeError, ValidationError):
            return None
        return found.figures if found.key == key else None

    def write(self, key: str, figures: CaseFigures) -> None:
        """Store the figures of a finished case; the folder is made.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        make_folder(self._folder)
        text = _Checkpoint(key=key, figures=figures).model_dump_json(indent=1)
        write_atomically(self._path(key), text.encode("utf-8"))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key[:32]}.json"
