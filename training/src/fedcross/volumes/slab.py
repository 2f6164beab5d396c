"""Slabs: neighbouring slices of a volume, so that a large volume is never in memory as a whole."""

import numpy as np
from numpy.typing import NDArray

Slab = tuple[slice, NDArray[np.float32]]
"""Neighbouring slices z of a volume, and float32 (C, dz, H, W): the values of C maps in them."""

SLAB_VOXELS = 2**19
"""Of a slab at most, unless a slice has more: whoever takes slabs makes several arrays as large."""
