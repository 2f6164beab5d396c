"""Smooth random fields, ellipsoids and soft masks on a grid of voxels."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


def smooth_field(shape: Sequence[int], distance: float, rng: np.random.Generator) -> Array:
    """Draw a smooth field with mean 0 and standard deviation 1.

    Normal numbers at control points are the coefficients of a uniform cubic B-spline.

    Parameters
    ----------
    shape
        Voxels (z, y, x).
    distance
        Distance of the control points in voxels, above 0.
    rng
        Generator of the random numbers.

    Returns
    -------
    Array
        (z, y, x) float32.
    """
    weights = [_spline_weights(count, distance, rng.uniform()) for count in shape]
    field = rng.normal(size=[matrix.shape[1] for matrix in weights]).astype(np.float32)
    for matrix in weights:  # each axis in turn comes first, is interpolated, and goes to the end
        field = np.tensordot(field, matrix, axes=([0], [1]))
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)


def _spline_weights(count: int, distance: float, phase: float) -> Array:
    """Weights (voxels, control points) of a uniform cubic B-spline along one axis."""
    position = np.arange(count) / distance + phase
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.zeros((count, int(first[-1]) + 4), np.float32)
    pieces = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for offset, piece in enumerate(pieces):
        weights[np.arange(count), first + offset] = piece / 6
    return weights


def ellipsoid(
    place: Sequence[ArrayLike], centre: Sequence[float], radius: Sequence[float]
) -> Array:
    """Approximate the signed distance in mm to the surface of an ellipsoid, negative inside.

    Parameters
    ----------
    place
        Positions x, y and z in mm, arrays that broadcast to one shape.
    centre, radius
        Centre and semi-axes (x, y, z) in mm; an infinite semi-axis makes a cylinder.
    """
    squares = [
        ((np.asarray(axis, np.float32) - np.float32(middle)) / np.float32(side)) ** 2
        for axis, middle, side in zip(place, centre, radius, strict=True)
    ]
    return np.asarray((np.sqrt(sum(squares)) - 1) * min(radius), dtype=np.float32)


def soft_mask(distance_mm: ArrayLike, width_mm: ArrayLike = 1.0) -> Array:
    """Membership from 1 (inside) to 0 (outside); it falls linearly over `width_mm` at the surface."""
    return np.asarray(
        np.clip(0.5 - np.asarray(distance_mm) / np.asarray(width_mm, np.float32), 0, 1),
        dtype=np.float32,
    )
