"""How the child process is started: program and environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fedcross.contract.dicom import MODULE as DICOM_MODULE
from fedcross.contract.request import MODULE
from FedCrossSlicerLib.package import packageFolder


def childCommand() -> list[str]:
    """Return the program of the child process; the arguments of a request follow it."""
    return [childPython(), "-m", MODULE]


def dicomCommand(folder: Path) -> list[str]:
    """Return program and arguments that make the DICOM files that a folder requests."""
    return [childPython(), "-m", DICOM_MODULE, str(folder)]


def childPython() -> str:
    """Return the path of the Python that runs the child process.

    In Slicer this is PythonSlicer, which sets Slicer's library paths; `sys.executable` may be Slicer
    itself.
    """
    return shutil.which("PythonSlicer") or sys.executable


def childEnvironment() -> dict[str, str]:
    """Return this process's environment with `packageFolder` on Python's path and with UTF-8 output."""
    paths = [str(packageFolder()), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUTF8": "1",
    }


def noWindowFlag() -> int:
    """Return `creationflags` for `subprocess` that stop Windows from opening a console window."""
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW
    return 0
