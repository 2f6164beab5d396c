"""From the volume as stored to what the networks see, and exactly back.

The steps are those of the reference: z-score over the whole volume, then linear resampling. Before
them the axes are brought to the nearest LPS order, so that it does not matter how a volume is stored;
an oblique remainder is kept, since the networks learned the acquisition's axes.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.model.manifest import Preprocessing

Triple = tuple[float, float, float]

# NIfTI stores spacing in float32: what differs less is the same.
_SPACING_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: sizes and spacing (x, y, z), origin and row-major direction in LPS mm."""

    size: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """Return the grid of a 3D image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def index_to_world(self) -> NDArray[np.float64]:
        """4x4 affine from (x, y, z) indices to LPS mm."""
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing_mm
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing_mm))

    def image(self, array: NDArray[np.generic]) -> sitk.Image:
        """Put an array (D, H, W) on this grid."""
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image


@dataclass(frozen=True)
class Prepared:
    """A volume as the networks see it, and the way back.

    Attributes
    ----------
    array
        (D, H, W) float32, z-score intensities on the model's grid.
    grid
        The model's grid: LPS axes at the bundle's spacing.
    oriented
        The input's voxels in LPS axis order.
    source
        The input as stored.
    """

    array: NDArray[np.float32]
    grid: Grid
    oriented: Grid
    source: Grid


def prepare(image: sitk.Image, preprocessing: Preprocessing) -> Prepared:
    """Orient, normalise and resample a volume.

    Parameters
    ----------
    image
        From `volume_io.read_volume`.
    preprocessing
        The bundle's.

    Returns
    -------
    Prepared
        A constant volume becomes zeros. When the spacing already is the bundle's, voxels are passed
        on as they are.
    """
    oriented = sitk.DICOMOrient(image, preprocessing.orientation)
    oriented_grid = Grid.of(oriented)
    grid = model_grid(oriented_grid, preprocessing.spacing_mm)
    normalised = zscore(sitk.GetArrayViewFromImage(oriented))
    return Prepared(
        array=resample(normalised, oriented_grid, grid),
        grid=grid,
        oriented=oriented_grid,
        source=Grid.of(image),
    )


def zscore(array: NDArray[np.generic]) -> NDArray[np.float32]:
    """Subtract the mean and divide by the population standard deviation; zeros if it is 0."""
    mean, std = array.mean(dtype=np.float64), array.std(dtype=np.float64)
    if std == 0:
        return np.zeros(array.shape, np.float32)
    return ((array - mean) / std).astype(np.float32)


def model_grid(oriented: Grid, spacing_mm: Triple) -> Grid:
    """Return the grid of the given spacing that shares axes, centre and extent with `oriented`."""
    if np.allclose(oriented.spacing_mm, spacing_mm, rtol=_SPACING_TOLERANCE, atol=0):
        return oriented
    old_size, old_spacing = np.array(oriented.size), np.array(oriented.spacing_mm)
    new_spacing = np.array(spacing_mm)
    size = np.maximum(1, np.round(old_size * old_spacing / new_spacing)).astype(int)
    axes = np.reshape(oriented.direction, (3, 3))
    corner_shift = (old_spacing * (old_size - 1) - new_spacing * (size - 1)) / 2
    x, y, z = (float(value) for value in oriented.origin_mm + axes @ corner_shift)
    nx, ny, nz = (int(side) for side in size)
    return Grid((nx, ny, nz), spacing_mm, (x, y, z), oriented.direction)


def resample(
    array: NDArray[np.float32], old: Grid, new: Grid, *, nearest: bool = False
) -> NDArray[np.float32]:
    """Resample (D, H, W) from one grid to another; beyond the edge the edge's value goes on.

    Linear, or nearest neighbour for label maps. Equal grids pass the array on untouched.
    """
    if old == new:
        return array
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(new.size)
    resampler.SetOutputSpacing(new.spacing_mm)
    resampler.SetOutputOrigin(new.origin_mm)
    resampler.SetOutputDirection(new.direction)
    resampler.SetInterpolator(sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear)
    resampler.SetUseNearestNeighborExtrapolator(True)
    return np.asarray(sitk.GetArrayFromImage(resampler.Execute(old.image(array))))


def to_source_grid(array: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float32]:
    """Bring a map from the model's grid onto the input's own grid and storage order.

    Parameters
    ----------
    array
        (D, H, W) float32 on ``prepared.grid``.

    Returns
    -------
    ndarray
        (D, H, W) float32 on ``prepared.source``.
    """
    oriented = prepared.oriented.image(resample(array, prepared.grid, prepared.oriented))
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(prepared.source.direction)
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(oriented, code)))
