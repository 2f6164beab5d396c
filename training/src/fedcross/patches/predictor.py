"""Interfaces of the objects that run a member on a patch; every back-end implements them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.blend import Blend


class PatchPredictor(Protocol):
    """A loaded member that maps a patch to class probabilities."""

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map intensities (channels, d, h, w) to class probabilities (C, d, h, w), background first.

        Both are float32 NumPy arrays. The next call may overwrite the result.
        """


@runtime_checkable
class BlendingPredictor(PatchPredictor, Protocol):
    """A predictor that blends patches on its GPU and copies only finished slices to the host."""

    def start_blend(self, classes: int, shape: Sequence[int], weight: NDArray[np.float32]) -> Blend:
        """Return a blend on the predictor's device; for the parameters see `Blend`."""
