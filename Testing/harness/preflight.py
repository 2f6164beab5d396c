"""A check that this machine can draw and run Qt.

Without EGL and a graphics driver VTK crashes, so a child process tries to draw.

``python -m harness.preflight`` prints one sentence about what is missing and exits with code 2.
"""

import ctypes
import subprocess
import sys

SENTENCE = "The pictures and the panel need system packages: sudo apt-get install {packages}"
# System libraries that the wheels of VTK and Qt load. A desktop has all of them, a server often none.
LIBRARIES = {
    "libegl1": "libEGL.so.1",
    "libgl1": "libGL.so.1",
    "libdbus-1-3": "libdbus-1.so.3",
    "libfontconfig1": "libfontconfig.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libxkbcommon0": "libxkbcommon.so.0",
}
MESA = "libgl1-mesa-dri"  # VTK finds the driver at run time, so only drawing shows whether there is one
_TRIAL = (
    "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1);"
    "w.AddRenderer(vtk.vtkRenderer()); w.Render(); raise SystemExit(not w.SupportsOpenGL())"
)


def can_render() -> bool:
    """Return whether a child process can render an empty window without a crash."""
    finished = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    return finished.returncode == 0


def missing() -> list[str]:
    """Return the system packages whose library cannot be loaded."""
    return [package for package, library in LIBRARIES.items() if not _loads(library)]


def advice() -> str:
    """Return one sentence about the packages to install on a machine that cannot draw."""
    return SENTENCE.format(packages=" ".join(missing() or [MESA]))


def main() -> int:
    """Return 0 if this machine can draw; otherwise print the advice and return 2."""
    if not missing() and can_render():
        return 0
    print(advice(), file=sys.stderr)
    return 2


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
