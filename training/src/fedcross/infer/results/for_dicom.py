"""Stores the part of a result from which DICOM files can be made later, without a computation.

The mean probabilities are kept as the 8-bit values that a fractional Segmentation stores, so that the
files that are made later are equal to those of ``fedcross segment --dicom``.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.contract.files import DESCRIPTION, ENSEMBLE
from fedcross.infer.compute import Result
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.runtime.files.atomic import write_atomically
from fedcross.volumes.files.write import write_volume
from fedcross.volumes.grid import Grid

LEVELS = 255
"""Stored value of the probability 1."""
MAX_BYTES = 10**9
"""A larger label map with its probabilities is not kept: Slicer holds it in memory."""


def write_for_dicom(result: Result, folder: Path) -> tuple[str, ...]:
    """Write label map and mean probabilities, and the description of the ensemble.

    The volume is uint8. Along z it holds the label map first and then, for each structure, the mean
    probability in steps of 1/`LEVELS`.

    Parameters
    ----------
    result
        The result.
    folder
        Where to write.

    Returns
    -------
    tuple of str
        Names of the files; none if the volume would have more than `MAX_BYTES`.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    grid, blocks = result.grid, 1 + len(result.structures)
    if blocks * grid.voxels > MAX_BYTES:
        return ()
    voxels = np.empty((blocks, *grid.shape), np.uint8)
    voxels[0] = result.labels
    for block, structure in zip(voxels[1:], result.structures, strict=True):
        block[:] = to_levels(result.probability(structure))
    stacked = voxels.reshape(-1, *grid.shape[1:])
    width, height, depth = grid.size
    tall = Grid((width, height, blocks * depth), grid.spacing_mm, grid.origin_mm, grid.direction)
    write_volume(tall.image(stacked), folder / ENSEMBLE)
    text = EnsembleDescription.of(result.bundle).model_dump_json()
    write_atomically(folder / DESCRIPTION, text.encode())
    return ENSEMBLE, DESCRIPTION


def to_levels(probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return probabilities as stored values 0 to `LEVELS`, rounded as highdicom rounds them."""
    return np.around(np.clip(probability, 0, 1) * float(LEVELS)).astype(np.uint8)


def from_levels(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities, float32, that stored values stand for."""
    return levels.astype(np.float32) / np.float32(LEVELS)


def split(image: sitk.Image, structures: int) -> tuple[Grid, NDArray[np.uint8]] | None:
    """Return the grid of a result and the blocks of its volume, (1 + structures, z, y, x).

    None if the volume is not uint8 or has another number of slices.
    """
    blocks = 1 + structures
    width, height, depth = image.GetSize()
    if image.GetPixelID() != sitk.sitkUInt8 or depth % blocks:
        return None
    whole = Grid.of(image)
    size = (width, height, depth // blocks)
    grid = Grid(size, whole.spacing_mm, whole.origin_mm, whole.direction)
    return grid, sitk.GetArrayFromImage(image).reshape(blocks, *grid.shape)
