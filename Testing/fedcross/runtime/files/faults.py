"""A disk that fails at the n-th operation that changes something."""

import builtins
import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

COUNTED = ("fsync", "mkdir", "rename", "replace")
FAULTS = (errno.ENOSPC, errno.EIO)


class FaultyDisk:
    """Counts creations of files, writes and the calls in `COUNTED`, and lets the n-th one fail.

    Attributes
    ----------
    happened
        Name of the operation that failed; empty if there were fewer than n.
    """

    def __init__(self, patch: pytest.MonkeyPatch, n: int, code: int) -> None:
        self._left, self._code, self.happened = n, code, ""
        for name in COUNTED:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))
        real = builtins.open

        def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if not isinstance(file, Path) or "r" in mode:
                return real(file, mode, *rest, **options)
            self._count("open")
            raw = _FaultyFile(file, mode.replace("b", ""), self)
            buffered = io.BufferedWriter(raw)
            if "b" in mode:
                return buffered
            return io.TextIOWrapper(buffered, options.get("encoding"), newline="")

        patch.setattr(builtins, "open", opened)
        patch.setattr(io, "open", opened)

    def _counted(self, name: str, call: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            if name != "mkdir" or not os.path.exists(arguments[0]):
                self._count(name)
            return call(*arguments, **options)

        return counted

    def _count(self, name: str) -> None:
        self._left -= 1
        if self._left == 0:
            self.happened = name
            raise OSError(self._code, os.strerror(self._code))


class _FaultyFile(io.FileIO):
    def __init__(self, path: Path, mode: str, disk: FaultyDisk) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        self._disk._count("write")
        return super().write(data)
