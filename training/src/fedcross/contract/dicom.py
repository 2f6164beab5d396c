"""A request to make DICOM files of a result that was computed before.

It is a folder with the volumes `ENSEMBLE` and `UNCERTAINTY` of `fedcross.contract.files`, and the JSON
file `REQUEST`. The process is ``python -m fedcross.infer.save_dicom FOLDER``; it writes the events of
`fedcross.contract.events` to stdout.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fedcross.contract.measures import MEASURES, Measure
from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError

MODULE = "fedcross.infer.save_dicom"
REQUEST = "request.json"
"""Name of the JSON file in the folder."""


@dataclass(frozen=True)
class DicomRequest:
    """Which DICOM files to make.

    Attributes
    ----------
    description : str
        Content of the file `fedcross.contract.files.DESCRIPTION` of the result.
    measure : str
        What the map of uncertainty shows.
    files : tuple of Path
        The DICOM files of the segmented series, in any order.
    out : Path
        Folder for the DICOM files.
    """

    description: str
    measure: Measure
    files: tuple[Path, ...]
    out: Path

    def write(self, folder: Path) -> None:
        """Write the request into its folder."""
        record = {
            "description": self.description,
            "measure": self.measure,
            "files": [str(path) for path in self.files],
            "out": str(self.out),
        }
        (folder / REQUEST).write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the request in a folder.

        Raises
        ------
        ConfigError
            If there is none, or it is incomplete.
        """
        try:
            record = parse_json((folder / REQUEST).read_text(encoding="utf-8"))
            texts = [record[name] for name in ("description", "measure", "out")]
            files = record["files"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _unreadable(folder) from error
        if not isinstance(files, list) or not all(isinstance(t, str) for t in [*texts, *files]):
            raise _unreadable(folder)
        description, measure, out = texts
        if measure not in MEASURES or any("\0" in path for path in (out, *files)):
            raise _unreadable(folder)
        return cls(description, measure, tuple(map(Path, files)), Path(out))


def _unreadable(folder: Path) -> ConfigError:
    return ConfigError(f"The folder {folder.name} holds no complete {REQUEST}.")
