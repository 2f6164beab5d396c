import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.method.hotspots import find_hotspots

SHAPE = (6, 8, 10)  # (z, y, x)
STRUCTURES = {"Left": 1, "Right": 2}


def affine(spacing: tuple[float, float, float] = (1, 1, 1)) -> NDArray[np.float64]:
    return np.diag([*spacing, 1.0])


def two_organs() -> NDArray[np.uint8]:
    organs = np.zeros(SHAPE, np.uint8)
    organs[2:5, 2:6, 1:4] = 1
    organs[2:5, 2:6, 6:9] = 2
    return organs


def test_nothing_above_the_threshold_gives_no_hot_spots() -> None:
    heat = np.full(SHAPE, 0.2, np.float32)
    assert find_hotspots(heat, 0.21, two_organs(), STRUCTURES, affine()) == []


def test_one_region_by_hand() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 4, 6], heat[3, 4, 7] = 0.1, 0.3
    (spot,) = find_hotspots(heat, 0.1, two_organs(), STRUCTURES, affine((2, 3, 4)))
    assert spot.rank == 1
    assert spot.voxels == 2
    assert spot.volume_ml == pytest.approx(2 * 24 / 1000)
    assert spot.peak == pytest.approx(0.3)
    assert spot.mean == pytest.approx(0.2)
    assert spot.centroid_voxel == pytest.approx((6.75, 4, 3))  # weighted 1 : 3
    assert spot.centroid_mm == pytest.approx((13.5, 12, 12))
    assert spot.structure == "Right"


def test_an_oblique_shifted_grid_moves_the_centroid_with_it() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[1, 2, 3] = 1
    angle = np.deg2rad(30)
    world = np.eye(4)
    world[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    world[:3, 3] = [10, 20, 30]
    (spot,) = find_hotspots(heat, 0.5, two_organs(), STRUCTURES, world)
    expected = (
        10 + 3 * np.cos(angle) - 2 * np.sin(angle),
        20 + 3 * np.sin(angle) + 2 * np.cos(angle),
        31,
    )
    assert spot.centroid_mm == pytest.approx(expected)
    assert spot.volume_ml == pytest.approx(1e-3)


def test_voxels_that_touch_at_a_corner_are_one_region() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[1, 1, 1] = heat[2, 2, 2] = 1
    heat[4, 4, 4] = 1
    spots = find_hotspots(heat, 0.5, two_organs(), STRUCTURES, affine())
    assert [spot.voxels for spot in spots] == [2, 1]


def test_more_uncertainty_in_all_ranks_first_even_with_a_lower_peak() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0, 0] = 0.9
    heat[4, 4, 4:8] = 0.4
    spots = find_hotspots(heat, 0.3, two_organs(), STRUCTURES, affine())
    assert [(spot.rank, spot.voxels) for spot in spots] == [(1, 4), (2, 1)]


def test_small_regions_and_those_beyond_the_limit_are_left_out() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0, 0] = heat[2, 2, 0:2] = heat[4, 4, 4:8] = 1
    everything = find_hotspots(heat, 0.5, two_organs(), STRUCTURES, affine())
    assert [spot.voxels for spot in everything] == [4, 2, 1]
    large = find_hotspots(heat, 0.5, two_organs(), STRUCTURES, affine(), min_volume_ml=0.002)
    assert [spot.voxels for spot in large] == [4, 2]
    assert find_hotspots(heat, 0.5, two_organs(), STRUCTURES, affine(), limit=1) == everything[:1]


def test_distance_to_a_boundary_is_in_millimetres_not_voxels() -> None:
    organs = np.zeros(SHAPE, np.uint8)
    organs[3, 3, 0] = 1  # 3 voxels of 1 mm away along x
    organs[5, 3, 3] = 2  # 2 voxels of 5 mm away along z
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, 3] = 1
    (spot,) = find_hotspots(heat, 0.5, organs, STRUCTURES, affine((1, 1, 5)))
    assert spot.structure == "Left"


def test_without_any_structure_a_hot_spot_belongs_to_none() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, 3] = 1
    (spot,) = find_hotspots(heat, 0.5, np.zeros(SHAPE, np.uint8), STRUCTURES, affine())
    assert spot.structure is None


def test_a_threshold_of_zero_would_mark_everything_and_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        find_hotspots(np.zeros(SHAPE, np.float32), 0.0, two_organs(), STRUCTURES, affine())
