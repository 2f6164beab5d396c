"""Accepts a volume as a file, a SimpleITK image or a NumPy array."""

import os
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from fedcross.contract.request import ONLY_SERIES, check_series
from fedcross.errors import ConfigError, DataError
from fedcross.volumes.files.checks import MAX_SHEAR, check_volume
from fedcross.volumes.files.read import read_volume

ImageInput: TypeAlias = str | os.PathLike[str] | sitk.Image | NDArray[Any]
NAME = "image"
"""Name of a volume that is not a file, in the messages of errors."""


def image_readers(
    images: Sequence[ImageInput],
    *,
    spacing_mm: Sequence[float] | None = None,
    origin_mm: Sequence[float] | None = None,
    direction: ArrayLike | None = None,
    series: Sequence[str | int | None] = (),
) -> tuple[Callable[[], sitk.Image], ...]:
    """Return a function for each image of a case, see `volume_reader`.

    The geometry is that of all arrays among `images`. If there is no array, it is refused. `series` is
    empty or has one value for each image.
    """
    check_series(series, len(images))
    has_array = any(isinstance(image, np.ndarray) for image in images)
    return tuple(
        volume_reader(image, series=which)
        if has_array and not isinstance(image, np.ndarray)
        else volume_reader(
            image, spacing_mm=spacing_mm, origin_mm=origin_mm, direction=direction, series=which
        )
        for image, which in zip_longest(images, series)
    )


def volume_reader(
    image: ImageInput,
    *,
    spacing_mm: Sequence[float] | None = None,
    origin_mm: Sequence[float] | None = None,
    direction: ArrayLike | None = None,
    series: str | int | None = None,
) -> Callable[[], sitk.Image]:
    """Return a function that returns the volume; what is in memory is checked here already.

    Parameters
    ----------
    image
        A file, a DICOM folder, a 3D SimpleITK image with one number a voxel, or an array (z, y, x) of
        real numbers.
    spacing_mm
        For an array: distance between voxel centres along (x, y, z); required.
    origin_mm
        For an array: centre of voxel (0, 0, 0) in the world, LPS; None is (0, 0, 0).
    direction
        For an array: 3 x 3, its columns are the unit vectors of the axes x, y, z in the world, LPS;
        None is the identity.
    series
        For DICOM: which volume, see `fedcross.volumes.files.read.read_volume`.

    Raises
    ------
    ConfigError
        If `image` is none of these, the geometry is missing, not wanted, or impossible, or a series is
        chosen in memory.
    DataError
        If the voxels cannot be segmented.
    """
    wanted = None if series is None or series == ONLY_SERIES else str(series)
    if wanted is not None and not isinstance(image, str | os.PathLike):
        raise ConfigError("series is for DICOM folders; an image in memory has none.")
    geometry = (spacing_mm, origin_mm, direction)
    if isinstance(image, np.ndarray):
        if spacing_mm is None:
            raise ConfigError("spacing_mm is missing: an array does not have one.")
        volume = _from_array(
            image,
            _triple("spacing_mm", spacing_mm),
            _triple("origin_mm", (0.0, 0.0, 0.0) if origin_mm is None else origin_mm),
            _rotation(np.eye(3) if direction is None else direction),
        )
        return lambda: volume
    if any(each is not None for each in geometry):
        raise ConfigError("spacing_mm, origin_mm and direction are for arrays; a file has its own.")
    if isinstance(image, sitk.Image):
        if image.GetDimension() != 3:
            raise DataError(f"{NAME} has {image.GetDimension()} dimensions.", "Give a 3D volume.")
        check_volume(image, NAME)
        return lambda: image
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        return lambda: read_volume(path, wanted)
    kind = type(image).__name__
    raise ConfigError(f"{NAME} must be a path, a SimpleITK image or a NumPy array, got {kind}.")


def _from_array(
    array: NDArray[Any],
    spacing_mm: tuple[float, ...],
    origin_mm: tuple[float, ...],
    direction: NDArray[np.float64],
) -> sitk.Image:
    if min(spacing_mm) <= 0:
        raise ConfigError(f"spacing_mm must be above 0, got {list(spacing_mm)}.")
    if array.ndim != 3 or array.size == 0:
        raise DataError(
            f"{NAME} must be a 3D array (z, y, x) with voxels, got the shape {array.shape}."
        )
    if array.dtype.kind not in "biuf":
        raise DataError(f"{NAME} must hold real numbers, got the type {array.dtype}.")
    volume = sitk.GetImageFromArray(np.ascontiguousarray(array, _stored_as(array.dtype)))
    volume.SetSpacing(spacing_mm)
    volume.SetOrigin(origin_mm)
    volume.SetDirection(direction.ravel().tolist())
    check_volume(volume, NAME)
    return volume


def _stored_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that SimpleITK has for the same numbers."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return dtype.newbyteorder("=")


def _triple(name: str, values: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (3,) or not np.isfinite(numbers).all():
        raise ConfigError(f"{name} must be three finite numbers (x, y, z), got {values}.")
    return tuple(numbers.tolist())


def _rotation(direction: ArrayLike) -> NDArray[np.float64]:
    try:
        axes = np.array(direction, dtype=np.float64)
    except (TypeError, ValueError):
        axes = np.empty(0)
    if axes.shape != (3, 3):
        given = np.array(direction, dtype=object).tolist()
        raise ConfigError(f"direction must be a 3 x 3 matrix of numbers, got {given!r}.")
    if not np.abs(axes.T @ axes - np.eye(3)).max() < MAX_SHEAR:  # NaN fails, too
        raise ConfigError(
            f"direction must have columns of length 1 at right angles, got {axes.tolist()}."
        )
    return axes
