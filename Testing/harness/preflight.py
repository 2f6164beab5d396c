"""Can this machine draw? VTK without EGL and a Mesa driver segfaults, so a child process tries.

``python -m harness.preflight`` says in one sentence what is missing and ends with exit code 2.
"""

import ctypes
import subprocess
import sys

SENTENCE = (
    "Drawing the pictures needs the system packages {packages}: sudo apt-get install {packages}"
)
_EGL = ("libegl1", "libEGL.so.1")
_MESA = "libgl1-mesa-dri"
_TRIAL = (
    "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1);"
    "w.AddRenderer(vtk.vtkRenderer()); w.Render(); raise SystemExit(not w.SupportsOpenGL())"
)


def can_render() -> bool:
    """Render an empty window in a child process and see whether it lives."""
    finished = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    return finished.returncode == 0


def advice() -> str:
    """Return the one sentence for a machine that cannot draw: what to install."""
    package, library = _EGL
    try:
        ctypes.CDLL(library)
    except OSError:
        return SENTENCE.format(packages=f"{package} {_MESA}")
    return SENTENCE.format(packages=_MESA)


def main() -> int:
    """Return 0 if this machine can draw, 2 after saying what is missing."""
    if can_render():
        return 0
    print(advice(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
