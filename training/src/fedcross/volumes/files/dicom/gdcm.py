"""GDCM, the DICOM decoder inside SimpleITK, in a process of its own: damaged data can crash it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.files.dicom.elements import Unreadable

TIMEOUT_S = 120.0
"""Longest time for one file; a whole multi-frame file takes some seconds."""
_DAMAGED = "its compressed pixels cannot be decoded"


class GdcmProcess:
    """Decodes files one after another; the process starts with the first and ends with the context."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._count = 0

    def __enter__(self) -> "GdcmProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def decode(self, write: Callable[[Path], None]) -> NDArray[Any]:
        """Decode one file.

        Parameters
        ----------
        write
            Writes the file to a path in a temporary folder; it is deleted after the call.

        Returns
        -------
        NDArray
            (frames, rows, columns) whole numbers, or (frames, rows, columns, samples).

        Raises
        ------
        Unreadable
            If it cannot be decoded, crashes the process, or takes longer than `TIMEOUT_S`.
        """
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="fedcross-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._count += 1
        source, result = (folder / f"{self._count}{suffix}" for suffix in (".dcm", ".npy"))
        write(source)
        try:
            if self._ask(self._running(folder)) != "ok":
                raise Unreadable(_DAMAGED)
            array: NDArray[Any] = np.load(result, allow_pickle=False)
        finally:
            source.unlink(missing_ok=True)
            result.unlink(missing_ok=True)
        return array

    def _running(self, folder: Path) -> "subprocess.Popen[str]":
        if self._process is None:
            worker = Path(__file__).with_name("gdcm_worker.py")
            self._process = subprocess.Popen(
                [sys.executable, str(worker)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process

    def _ask(self, process: "subprocess.Popen[str]") -> str:
        """Send the number of the file; return the answer, empty if the process has ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        timer = Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            process.stdin.write(f"{self._count}\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
        except OSError:  # it has ended
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            self._stop()
        return answer

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
