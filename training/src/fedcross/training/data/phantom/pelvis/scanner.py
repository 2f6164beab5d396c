"""Imitate the scanner: coil profile, thick slices, blur, contrast curve and noise."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from fedcross.training.data.phantom.pelvis.anatomy import Place, draw_number
from fedcross.training.data.phantom.pelvis.fields import Array, smooth_field
from fedcross.training.data.phantom.pelvis.tables import SLICES, Hospital

MARGIN_MM = (5.0, 16.0)
FWHM_PER_SIGMA = 2.355


@dataclass(frozen=True)
class Slices:
    """The grid of an acquired volume: voxel size, voxels per side, slices and first slice's position."""

    plane_mm: float
    side: int
    slice_mm: float
    count: int
    first_mm: float

    def slab(self, half_height: int) -> tuple[int, int]:
        """Return the layers, first and behind the last, of a grid of 1 mm that contain the slices.

        The grid goes from ``-half_height`` to ``half_height`` along z.
        """
        low = np.floor(self.first_mm - self.slice_mm)
        high = np.ceil(self.first_mm + self.slice_mm * self.count)
        return max(int(low) + half_height, 0), min(int(high), half_height) + half_height + 1

    def sample(self, volume: Array, corner_mm: tuple[float, float, float]) -> Array:
        """Interpolate a volume (z, y, x) with voxels of 1 mm and its first voxel at `corner_mm`."""
        start = -self.plane_mm * (self.side - 1) / 2
        plane = start + self.plane_mm * np.arange(self.side, dtype=np.float64)
        x, y, z = corner_mm
        heights = self.first_mm + self.slice_mm * np.arange(self.count, dtype=np.float64)
        for axis, wanted in enumerate((heights - z, plane - y, plane - x)):
            volume = _interpolate(volume, wanted, axis)
        return volume

    def image(self, array: NDArray[np.int16] | NDArray[np.uint8]) -> sitk.Image:
        """Return an array (z, y, x) on this grid as an image in LPS orientation."""
        image = sitk.GetImageFromArray(array)
        start = -self.plane_mm * (self.side - 1) / 2
        image.SetSpacing((self.plane_mm, self.plane_mm, self.slice_mm))
        image.SetOrigin((start, start, self.first_mm))
        return image


def _interpolate(volume: Array, where: NDArray[np.float64], axis: int) -> Array:
    """Interpolate linearly along one axis at indices `where`; beyond the ends the end values hold."""
    where = np.clip(where, 0, volume.shape[axis] - 1)
    low = np.minimum(where.astype(int), volume.shape[axis] - 2)
    share = (where - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    below, above = np.take(volume, low, axis), np.take(volume, low + 1, axis)
    return np.asarray(below + share * (above - below), np.float32)


def plan_slices(
    hospital: Hospital, fov_mm: float, extent_mm: tuple[float, float], rng: np.random.Generator
) -> Slices:
    """Choose voxel size and slices such that the whole organ is inside, with random margins.

    The slices are thicker than drawn where the largest number of them would not cover the organ.

    Parameters
    ----------
    fov_mm
        Side of the field of view.
    extent_mm
        Lowest and highest position of the organ along z.
    """
    plane = draw_number(hospital.plane_mm, rng)
    low, high = extent_mm
    thick = max(draw_number(hospital.slice_mm, rng), (high - low + 2 * MARGIN_MM[0]) / SLICES[1])
    below, above = (draw_number(MARGIN_MM, rng) for _ in range(2))
    count = int(np.clip(np.ceil((high - low + below + above) / thick), *SLICES))
    room = count * thick - (high - low)
    first = low - room * below / (below + above) + thick / 2
    return Slices(plane, int(fov_mm / plane) // 2 * 2, thick, count, float(first))


def coil_profile(
    hospital: Hospital,
    grid: Place,
    rectum: Array,
    rng: np.random.Generator,
) -> Array:
    """Return the signal of the coil at every voxel, relative to its smallest.

    Parameters
    ----------
    grid
        Open grids x, y and z of voxel positions in mm.
    rectum
        Signed distance to the rectum's wall in mm, where an endorectal coil lies.
    """
    strength = draw_number(hospital.coil_gain, rng, logarithmic=True) - 1
    reach = rng.uniform(0.8, 1.3)
    if hospital.coil == "endorectal":
        distance = np.clip(rectum + 4, 0, None) / (16 * reach)
        signal = 1 + strength / (1 + distance**2) ** 1.5
    elif hospital.coil == "array":
        _, y, _ = grid
        front, back = rng.uniform(0.4, 1, 2)
        signal = 1 + strength * (
            front * np.exp(-(y + 110) / (55 * reach)) + back * np.exp((y - 110) / (55 * reach))
        )
    else:
        signal = np.float32(1 + strength) * np.ones_like(rectum)
    bias = draw_number(hospital.bias, rng) * smooth_field(rectum.shape, 70, rng)
    return np.asarray(signal * np.exp(bias), np.float32)


def acquire(
    brightness: Array,
    hospital: Hospital,
    slices: Slices,
    corner_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> NDArray[np.int16]:
    """Return the stored image (z, y, x) of a brightness on a grid of 1 mm.

    A voxel averages over the thickness of its slice. The noise is Rician and as blurred as the image.
    """
    blur_mm = draw_number(hospital.blur_mm, rng)
    thick = ndimage.uniform_filter1d(brightness, round(slices.slice_mm), axis=0, mode="nearest")
    sigma = max(blur_mm**2 - 1, 0.01) ** 0.5 / FWHM_PER_SIGMA
    blurred = ndimage.gaussian_filter(thick, (0, sigma, sigma), mode="nearest", truncate=3)
    signal = slices.sample(blurred, corner_mm)
    noise = draw_number(hospital.noise, rng, logarithmic=True)
    width = blur_mm / FWHM_PER_SIGMA / slices.plane_mm
    real, imaginary = (
        ndimage.gaussian_filter(
            rng.normal(size=signal.shape).astype(np.float32), (0, width, width), truncate=3
        )
        for _ in range(2)
    )
    scale = noise / real.std()
    magnitude = np.hypot(signal + scale * real, scale * imaginary)
    magnitude = magnitude ** draw_number(hospital.gamma, rng, logarithmic=True)
    highest = np.iinfo(np.int16).max
    return np.asarray(np.clip(np.round(hospital.gain * magnitude), 0, highest), np.int16)
