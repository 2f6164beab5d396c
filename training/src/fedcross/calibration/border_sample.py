"""The members' probabilities at a sample of voxels near the borders that were drawn."""

import numpy as np
import scipy
from numpy.typing import NDArray

from fedcross.volumes.grid import reorder_view
from fedcross.volumes.prepare import Prepared
from fedcross.volumes.slab import Slab

BAND_MM = 10.0
"""Voxels are drawn up to this distance from the border of a structure."""
MAX_VOXELS = 20_000
"""Largest number of voxels of a case."""


class BorderSample:
    """Collects the members' probabilities at the same voxels; see `fedcross.ensemble.members.Observer`.

    Parameters
    ----------
    truth
        The drawn label map on the grid of the first image, uint8 (z, y, x).
    members, classes
        K and C.

    Attributes
    ----------
    labels
        The drawn class of each voxel, uint8 (n,); n is 0 if nothing was drawn.
    """

    def __init__(self, truth: NDArray[np.uint8], members: int, classes: int) -> None:
        self._truth, self._shape = truth, (members, classes)
        self._places: NDArray[np.intp] | None = None  # (n, 3) as (z, y, x), by rising z
        self._values = np.empty((members, classes, 0), np.float32)
        self.labels = np.empty(0, np.uint8)

    def __call__(self, member: int, slab: Slab, prepared: Prepared) -> None:
        """Keep a member's probabilities in some slices; a later call replaces an earlier one."""
        places = self._choose(prepared) if self._places is None else self._places
        part, probabilities = slab
        first, end = np.searchsorted(places[:, 0], (part.start, part.stop))
        z, y, x = places[first:end].T
        self._values[member, :, first:end] = probabilities[:, z - part.start, y, x]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """The members' probabilities, float32 (K, C, n)."""
        return self._values

    def _choose(self, prepared: Prepared) -> NDArray[np.intp]:
        truth = on_network_grid(self._truth, prepared)
        near = near_border(truth, prepared.grid.spacing_mm[::-1])
        places = np.argwhere(near)
        if len(places) > MAX_VOXELS:
            rng = np.random.default_rng(0)
            places = places[np.sort(rng.choice(len(places), MAX_VOXELS, replace=False))]
        self._places = places
        self._values = np.zeros((*self._shape, len(places)), np.float32)
        self.labels = truth[tuple(places.T)]
        return places


def on_network_grid(labels: NDArray[np.uint8], prepared: Prepared) -> NDArray[np.uint8]:
    """Return a label map at the voxels of the networks' grid, by nearest neighbour.

    Parameters
    ----------
    labels
        On ``prepared.source``, (z, y, x).
    prepared
        The grids of the case.

    Returns
    -------
    NDArray
        uint8 on ``prepared.grid``, (z, y, x).
    """
    oriented = reorder_view(labels, prepared.source, prepared.oriented)
    steps = zip(prepared.grid.spacing_mm[::-1], prepared.oriented.spacing_mm[::-1], strict=True)
    nearest = [
        np.clip(np.rint((np.arange(new) - (new - 1) / 2) * ratio + (old - 1) / 2), 0, old - 1)
        for new, old, ratio in zip(
            prepared.grid.shape, oriented.shape, (a / b for a, b in steps), strict=True
        )
    ]
    return np.asarray(oriented[np.ix_(*(each.astype(np.intp) for each in nearest))])


def near_border(labels: NDArray[np.uint8], spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """Return the voxels up to `BAND_MM` from a voxel that has a neighbour of another class.

    Parameters
    ----------
    labels
        uint8 (z, y, x).
    spacing_mm
        Along (z, y, x).

    Returns
    -------
    NDArray
        bool (z, y, x); False everywhere if there is no border.
    """
    border = np.zeros(labels.shape, np.bool_)
    for axis in range(labels.ndim):
        low, high = (np.moveaxis(each, axis, 0) for each in (labels, border))
        changes = low[1:] != low[:-1]
        high[1:] |= changes
        high[:-1] |= changes
    if not border.any():
        return border
    return np.asarray(scipy.ndimage.distance_transform_edt(~border, sampling=spacing_mm) <= BAND_MM)
