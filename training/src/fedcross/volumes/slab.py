"""Slabs: a few neighbouring slices of a volume, processed one after another to limit memory."""

import numpy as np
from numpy.typing import NDArray

Slab = tuple[slice, NDArray[np.float32]]
"""A range of slices z of a volume, and the values of C maps there, float32 (C, dz, H, W)."""

SLAB_VOXELS = 2**19
"""Largest number of voxels of a slab, unless it is one slice. Temporary arrays have this size."""
