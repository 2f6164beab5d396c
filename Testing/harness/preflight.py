"""Can this machine draw and run Qt? VTK without EGL and a Mesa driver segfaults, so a child tries.

``python -m harness.preflight`` says in one sentence what is missing and ends with exit code 2.
"""

import ctypes
import subprocess
import sys

SENTENCE = "The pictures and the panel need system packages: sudo apt-get install {packages}"
# What the wheels of VTK and Qt load from the system. A desktop has all of it, a bare server none.
LIBRARIES = {
    "libegl1": "libEGL.so.1",
    "libgl1": "libGL.so.1",
    "libdbus-1-3": "libdbus-1.so.3",
    "libfontconfig1": "libfontconfig.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libxkbcommon0": "libxkbcommon.so.0",
}
MESA = "libgl1-mesa-dri"  # drivers are found at run time: only drawing shows whether there is one
_TRIAL = (
    "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1);"
    "w.AddRenderer(vtk.vtkRenderer()); w.Render(); raise SystemExit(not w.SupportsOpenGL())"
)


def can_render() -> bool:
    """Render an empty window in a child process and see whether it lives."""
    finished = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    return finished.returncode == 0


def missing() -> list[str]:
    """Return the system packages whose library cannot be loaded."""
    return [package for package, library in LIBRARIES.items() if not _loads(library)]


def advice() -> str:
    """Return the one sentence for a machine that cannot draw: what to install."""
    return SENTENCE.format(packages=" ".join(missing() or [MESA]))


def main() -> int:
    """Return 0 if this machine has all that is needed, 2 after saying what is missing."""
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
