"""The label maps of the ensemble of the first members, while the members are computed."""

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble.label_map import label_map
from fedcross.volumes.prepare import Prepared
from fedcross.volumes.slab import Slab


class FirstMembers:
    """Receives every member's probabilities, see `fedcross.ensemble.members.Observer`.

    Attributes
    ----------
    label_maps : list of NDArray
        uint8 (z, y, x) on the first image's grid: the label maps of the mean of the first 1, 2 ...
        members that were computed completely.
    """

    def __init__(self) -> None:
        self.label_maps: list[NDArray[np.uint8]] = []
        self._mean = np.empty((0, 0, 0, 0), np.float32)  # (C, D, H, W) on the networks' grid

    def __call__(self, index: int, slab: Slab, prepared: Prepared) -> None:
        """Add the probabilities of a member in some slices; member 0 begins a new ensemble."""
        part, probabilities = slab
        shape = (len(probabilities), *prepared.grid.shape)
        if index == 0 and part.start == 0:
            self._mean = np.zeros(shape, np.float32)
        if part.start == 0:
            del self.label_maps[index:]
        self._mean[:, part] += (probabilities - self._mean[:, part]) / np.float32(index + 1)
        if part.stop == shape[1]:
            self.label_maps.append(label_map(self._mean, prepared))
