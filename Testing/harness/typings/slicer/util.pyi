"""Slicer's helper functions that return arrays; the others have no types."""

from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray

def arrayFromVolume(volumeNode: Any) -> NDArray[Any]: ...
def arrayFromVTKMatrix(vmatrix: vtk.vtkMatrix4x4) -> NDArray[np.float64]: ...
def __getattr__(name: str) -> Any: ...
