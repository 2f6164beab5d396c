"""Can this machine draw? VTK without EGL and a Mesa driver segfaults, so a child process tries."""

import subprocess
import sys

SENTENCE = (
    "Drawing the pictures needs two system packages: sudo apt-get install libegl1 libgl1-mesa-dri"
)
_TRIAL = (
    "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1);"
    "w.AddRenderer(vtk.vtkRenderer()); w.Render(); raise SystemExit(not w.SupportsOpenGL())"
)


def can_render() -> bool:
    """Render an empty window in a child process and see whether it lives."""
    finished = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, check=False)
    return finished.returncode == 0


if __name__ == "__main__":
    if not can_render():
        sys.exit(SENTENCE)
