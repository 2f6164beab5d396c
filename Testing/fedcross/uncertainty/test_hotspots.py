import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.hot_regions import find_hot_regions
from fedcross.uncertainty.hotspots import HotSpot
from fedcross.uncertainty.hotspots import find_hotspots as find

SHAPE = (6, 8, 10)  # (z, y, x)
STRUCTURES = {"Left": 1, "Right": 2}


def find_hotspots(
    doubt: NDArray[np.float32],
    threshold: float,
    labels: NDArray[np.uint8],
    structures: dict[str, int],
    index_to_world: NDArray[np.float64],
    *,
    radius_mm: float = 9.0,
    **options: float,
) -> list[HotSpot]:
    """Find hot spots with a radius that holds any of the small organs."""
    return find(
        doubt,
        threshold,
        labels,
        structures,
        index_to_world,
        radius_mm=radius_mm,
        **options,  # type: ignore[arg-type]
    )


def affine(spacing: tuple[float, float, float] = (1, 1, 1)) -> NDArray[np.float64]:
    return np.diag([*spacing, 1.0])


def two_organs() -> NDArray[np.uint8]:
    organs = np.zeros(SHAPE, np.uint8)
    organs[2:5, 2:6, 1:4] = 1
    organs[2:5, 2:6, 6:9] = 2
    return organs


def test_there_is_no_hot_spot_if_no_voxel_reaches_the_threshold() -> None:
    heat = np.full(SHAPE, 0.2, np.float32)
    assert find_hotspots(heat, 0.21, two_organs(), STRUCTURES, affine()) == []


def test_one_region_equals_hand_computed_numbers() -> None:
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


def test_the_centroid_follows_an_oblique_shifted_grid() -> None:
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


def test_voxels_farther_apart_than_the_radius_are_two_hot_spots() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[1, 1, 1] = heat[2, 2, 2] = 1
    heat[4, 4, 4] = 1
    spots = find_hotspots(heat, 0.5, two_organs(), STRUCTURES, affine(), radius_mm=2)
    assert [spot.voxels for spot in spots] == [2, 1]


def test_the_region_with_the_larger_sum_ranks_first_even_with_a_lower_peak() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0, 0] = 0.9
    heat[4, 4, 4:8] = 0.4
    nothing = np.zeros(SHAPE, np.uint8)
    spots = find_hotspots(heat, 0.3, nothing, STRUCTURES, affine(), radius_mm=3)
    assert [(spot.rank, spot.voxels) for spot in spots] == [(1, 4), (2, 1)]


def test_doubt_on_the_border_counts_more_than_the_same_doubt_far_from_it() -> None:
    labels = np.zeros((3, 3, 40), np.uint8)
    labels[1, 1, :3] = 1
    doubt = np.zeros(labels.shape, np.float32)
    doubt[1, 1, 2], doubt[1, 1, 7], doubt[1, 1, 30], doubt[1, 1, 39] = 0.2, 0.4, 0.5, 0.5
    regions = find_hot_regions(doubt, 0.1, labels, affine(), radius_mm=2)
    # The border's last voxel is x = 3: distances 0, 4 = 2 radii, and more than 3 radii.
    expected = [0.2, 0.4 * np.exp(-2), 0.5 * np.exp(-3), 0.5 * np.exp(-3)]
    assert [region.weight for region in regions] == pytest.approx(expected)
    assert [region.indices[0][2] for region in regions] == [2, 7, 30, 39]


def test_regions_below_the_minimum_volume_or_beyond_the_limit_are_left_out() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0, 0] = heat[2, 2, 0:2] = heat[4, 4, 4:8] = 1
    arguments = (heat, 0.5, two_organs(), STRUCTURES, affine())
    everything = find_hotspots(*arguments, radius_mm=2)
    assert [spot.voxels for spot in everything] == [4, 2, 1]
    large = find_hotspots(*arguments, radius_mm=2, min_volume_ml=0.002)
    assert [spot.voxels for spot in large] == [4, 2]
    assert find_hotspots(*arguments, radius_mm=2, limit=1) == everything[:1]


def test_distance_to_a_boundary_is_in_millimetres_not_voxels() -> None:
    organs = np.zeros(SHAPE, np.uint8)
    organs[3, 3, 0] = 1  # 3 voxels of 1 mm away along x
    organs[5, 3, 3] = 2  # 2 voxels of 5 mm away along z
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, 3] = 1
    (spot,) = find_hotspots(heat, 0.5, organs, STRUCTURES, affine((1, 1, 5)))
    assert spot.structure == "Left"


def test_without_any_structure_a_hot_spot_has_no_structure() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, 3] = 1
    (spot,) = find_hotspots(heat, 0.5, np.zeros(SHAPE, np.uint8), STRUCTURES, affine())
    assert spot.structure is None


def test_a_threshold_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        find_hotspots(np.zeros(SHAPE, np.float32), 0.0, two_organs(), STRUCTURES, affine())


def rim_and_core() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the heat and label maps of a large organ, hot at its rim, around a small organ."""
    organs = np.zeros((15, 15, 15), np.uint8)
    organs[2:13, 2:13, 2:13] = 1
    heat = (organs == 1).astype(np.float32)
    heat[3:12, 3:12, 3:12] = 0
    organs[6:9, 6:9, 6:9] = 2
    return heat, organs


def test_a_hot_rim_belongs_to_its_organ_and_not_to_the_organ_at_its_centroid() -> None:
    heat, organs = rim_and_core()
    (spot,) = find_hotspots(heat, 0.5, organs, {"Core": 2, "Rim": 1}, affine(), radius_mm=40)
    assert spot.centroid_voxel == pytest.approx((7, 7, 7))
    assert spot.structure == "Rim"


def test_a_region_that_touches_a_second_organ_belongs_to_the_organ_it_runs_along() -> None:
    organs = np.zeros(SHAPE, np.uint8)
    organs[3, 1, :8] = 1
    organs[3, 1, 8:] = 2
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 1, 2:9] = 1  # six voxels of the first organ, one of the second
    (spot,) = find_hotspots(heat, 0.5, organs, {"Next": 2, "First": 1}, affine())
    assert spot.structure == "First"


def test_the_face_between_two_organs_is_a_boundary_of_both() -> None:
    heat, organs = rim_and_core()
    for x, owner in ((5, "Rim"), (6, "Core")):  # the two voxels at the face between the organs
        heat[:] = 0
        heat[7, 7, x] = 1
        (spot,) = find_hotspots(heat, 0.5, organs, {"Rim": 1, "Core": 2}, affine())
        assert spot.structure == owner


def test_of_equally_near_structures_the_first_in_the_mapping_is_taken() -> None:
    organs = np.zeros(SHAPE, np.uint8)
    organs[3, 3, 1], organs[3, 3, 5] = 1, 2
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, 3] = 1
    for order in ({"Left": 1, "Right": 2}, {"Right": 2, "Left": 1}):
        (spot,) = find_hotspots(heat, 0.5, organs, order, affine())
        assert spot.structure == next(iter(order))


def test_equal_regions_are_ranked_in_array_order() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[0, 0, 9] = heat[2, 7, 0] = heat[4, 0, 4] = 0.5
    spots = find_hotspots(heat, 0.5, np.zeros(SHAPE, np.uint8), {}, affine(), radius_mm=1)
    assert [spot.centroid_voxel for spot in spots] == [(9, 0, 0), (0, 7, 2), (4, 0, 4)]


def test_rounding_on_a_rotated_grid_does_not_exclude_a_region_of_the_minimum_volume() -> None:
    heat = np.zeros(SHAPE, np.float32)
    heat[3, 3, :] = 1  # 10 voxels of 1 mm^3 are exactly 0.01 mL
    for degrees in range(0, 90, 5):
        angle = np.deg2rad(degrees)
        world = np.eye(4)
        world[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        arguments = (heat, 0.5, two_organs(), STRUCTURES, world)
        assert len(find_hotspots(*arguments, min_volume_ml=0.01)) == 1
        assert find_hotspots(*arguments, min_volume_ml=0.0101) == []


@given(
    hnp.arrays(
        np.float32,
        st.tuples(*[st.integers(1, 5)] * 3),
        elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    )
)
def test_regions_contain_every_hot_voxel_once_and_are_ordered_by_rank(
    heat: NDArray[np.float32],
) -> None:
    nothing = np.zeros(heat.shape, np.uint8)
    spots = find_hotspots(heat, 0.5, nothing, {}, affine((1, 2, 3)), radius_mm=4, limit=200)
    assert sum(spot.voxels for spot in spots) == np.count_nonzero(heat >= 0.5)
    assert [spot.rank for spot in spots] == list(range(1, len(spots) + 1))
    regions = find_hot_regions(heat, 0.5, nothing, affine((1, 2, 3)), radius_mm=4, limit=200)
    assert [len(region.indices) for region in regions] == [spot.voxels for spot in spots]
    weights = [region.weight for region in regions]
    assert weights == pytest.approx(sorted(weights, reverse=True))
    assert sum(weights) == pytest.approx(float(heat[heat >= 0.5].sum()))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"radius_mm": 0}, "radius_mm must be above 0, got 0"),
        ({"labels": np.zeros((1, 2, 3), np.uint8)}, "one 3D shape"),
        ({"limit": -1}, "limit must not be negative, got -1"),
        ({"index_to_world": np.eye(3)}, "4x4 and invertible"),
        ({"index_to_world": affine((1, 0, 1))}, "4x4 and invertible"),
    ],
)
def test_invalid_arguments_raise_value_error(changes: dict[str, object], reason: str) -> None:
    arguments = {
        "doubt": np.zeros(SHAPE, np.float32),
        "threshold": 0.5,
        "labels": two_organs(),
        "structures": STRUCTURES,
        "index_to_world": affine(),
    }
    with pytest.raises(ValueError, match=reason):
        find_hotspots(**(arguments | changes))  # type: ignore[arg-type]
