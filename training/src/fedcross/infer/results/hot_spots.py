"""The places of a result that a reader should check first."""

import math
from typing import Any

import numpy as np

from fedcross.infer.compute import Result
from fedcross.uncertainty.hot_regions import DIGITS, find_hot_regions
from fedcross.uncertainty.hotspots import HotSpot, find_hotspots
from fedcross.uncertainty.places import Place

THRESHOLD = 0.1
"""Lowest doubt, 1 minus the largest mean probability, of a voxel in a hot spot."""
MIN_ML = 0.01
"""10 mm^3: smaller places are noise of the interpolation."""
LIMIT = 50
DIAMETERS = 0.25
"""Radius of a hot spot as a share of the diameter of a ball with the volume of the segmentation."""
RADII_MM = (3.0, 20.0)
"""Smallest and largest radius of a hot spot."""


def hot_spots(result: Result) -> list[HotSpot]:
    """Return the hot spots of a result, by rank; see `fedcross.uncertainty.hotspots`."""
    structures = {structure.name: structure.label for structure in result.structures}
    return find_hotspots(result.doubt, THRESHOLD, result.labels, structures, **_settings(result))


def hot_regions(result: Result) -> list[Place]:
    """Return the voxels of the hot spots of a result, by rank."""
    return find_hot_regions(result.doubt, THRESHOLD, result.labels, **_settings(result))


def place_radius_mm(result: Result) -> float:
    """Return the radius of the hot spots of a result in mm.

    It is `DIAMETERS` of the diameter of a ball with the volume of the segmentation, within `RADII_MM`,
    so that a hot spot of a small organ is not the whole organ.
    """
    volume_mm3 = np.count_nonzero(result.labels) * result.grid.voxel_volume_mm3
    diameter = math.cbrt(6 * volume_mm3 / math.pi)
    return round(min(max(DIAMETERS * diameter, RADII_MM[0]), RADII_MM[1]), DIGITS)


def _settings(result: Result) -> dict[str, Any]:
    return {
        "index_to_world": result.grid.index_to_world,
        "radius_mm": place_radius_mm(result),
        "min_volume_ml": MIN_ML,
        "limit": LIMIT,
    }
