"""What runs a member on a patch: the interface that every back-end implements."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.blend import Blend


class PatchPredictor(Protocol):
    """One live member on one execution back-end: a patch to probabilities."""

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a patch of z-scores (d, h, w) to class probabilities (C, d, h, w), background first.

        Float32 on the host; the result may be overwritten by the next call.
        """


@runtime_checkable
class BlendingPredictor(PatchPredictor, Protocol):
    """One that blends where it computes, on a GPU: only finished slices come to the host."""

    def start_blend(self, classes: int, shape: Sequence[int], weight: NDArray[np.float32]) -> Blend:
        """Begin; the parameters are those of `Blend`."""
