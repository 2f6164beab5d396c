"""How the child process ``python -m fedcross.infer`` is started: program, environment, folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def childCommand() -> list[str]:
    """Return the program of the child process; the arguments of a request follow it."""
    return [childPython(), "-m", "fedcross.infer"]


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


def noWindowFlags() -> dict[str, int]:
    """Return arguments for `subprocess` that stop Windows from opening a console window.

    On other systems the dictionary is empty.
    """
    return {"creationflags": subprocess.CREATE_NO_WINDOW} if sys.platform == "win32" else {}


def packageFolder() -> Path:
    """Return the folder that holds the package `fedcross`.

    In a source checkout this is ``training/src``; in an installed extension it is the module's folder.
    """
    module = Path(__file__).resolve().parents[2]
    source = module.parent / "training" / "src"
    return source if source.is_dir() else module
