"""How the child process is called: ``python -m fedcross.infer``, and what it is asked."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

VOLUME, RESULT, ROI = "volume.nrrd", "result", "roi.json"
"""Names in a task's temporary folder: the exported volume, the result folder, the region."""


@dataclass(frozen=True)
class Options:
    """How to segment; the values are those of ``python -m fedcross.infer``.

    With a region, `localise` changes nothing.
    """

    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    measure: str = "std"
    localise: bool = False


def childWords(
    folder: Path, bundle: Path, options: Options, image: Path | None = None
) -> list[str]:
    """Return what the child is asked: the words of its command line.

    Parameters
    ----------
    folder
        Gets the result; a region lies there if there is one.
    bundle
        Folder or ``.zip``.
    options
        How to segment.
    image
        The volume's file; None for the exported one in `folder`.
    """
    arguments = {
        "--bundle": str(bundle),
        "--image": str(image or folder / VOLUME),
        "--out": str(folder / RESULT),
        "--measure": options.measure,
        "--device": options.device,
        "--precision": options.precision,
        "--backend": options.backend,
    }
    if (folder / ROI).is_file():
        arguments["--roi"] = str(folder / ROI)
    flat = [word for pair in arguments.items() for word in pair]
    return [*flat, *(["--localise"] if options.localise else []), "--for-viewer", "--events"]


def childCommand() -> list[str]:
    """Return how the child is called; the words follow."""
    return [childPython(), "-m", "fedcross.infer"]


def childPython() -> str:
    """Return the Python that runs the child.

    In Slicer that is PythonSlicer, which sets Slicer's paths; `sys.executable` may be Slicer itself.
    """
    return shutil.which("PythonSlicer") or sys.executable


def childEnvironment() -> dict[str, str]:
    """Return our environment, with the package's folder found and UTF-8 spoken."""
    paths = [str(packageFolder()), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUTF8": "1",
    }


def withoutWindow() -> dict[str, int]:
    """Return what keeps Windows from opening a console window for a process; nothing elsewhere."""
    return {"creationflags": subprocess.CREATE_NO_WINDOW} if sys.platform == "win32" else {}


def packageFolder() -> Path:
    """Return the folder that holds `fedcross`: beside the installed module, or in the source tree."""
    module = Path(__file__).resolve().parents[2]
    source = module.parent / "training" / "src"
    return source if source.is_dir() else module
