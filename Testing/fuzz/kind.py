"""What is tried: inputs of one kind, how they are read, and how a result is verified."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis.strategies import SearchStrategy


@dataclass(frozen=True)
class Input:
    """Some files, and the one that is read.

    Attributes
    ----------
    files
        Name to content: bytes, a link's target as text, or None for a folder.
    main
        Name of the file that is read; `.` for the folder that holds all.
    expected
        What `Kind.verify` needs to know, for example the rows that were written.
    """

    files: Mapping[str, bytes | str | None]
    main: str
    expected: Any = None

    def write(self, folder: Path) -> Path:
        """Write the files into a folder, whose content is removed first; return the file to read."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
        return folder / self.main

    @property
    def digest(self) -> str:
        """A code of the content."""
        found = hashlib.sha256(self.main.encode())
        for name, content in self.files.items():
            found.update(f"\0{name}\0".encode() + str(content).encode(errors="replace"))
        return found.hexdigest()[:16]


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes
    ----------
    name
        Name in the table of figures.
    valid
        Returns inputs that must be accepted; they are read before the changed ones, so that imports
        are not measured.
    inputs
        Draws a changed input.
    read
        Reads the file, as the program does. It raises a `FedCrossError`, or returns a result.
    verify
        Raises an `AssertionError` if the result is wrong. It receives the result, the input and the
        file.
    """

    name: str
    valid: Callable[[], list[Input]]
    inputs: SearchStrategy[Input]
    read: Callable[[Path], Any]
    verify: Callable[[Any, Input, Path], None]
