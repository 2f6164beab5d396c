import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.train.evaluation.surface import (
    SurfaceDistances,
    surface_by_structure,
    surface_distances,
)
from fedcross.volumes.structure import Structure


def box(*ranges: tuple[int, int], shape: tuple[int, int, int] = (8, 10, 12)) -> np.ndarray:
    """A mask that is true from start to end (z, y, x)."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(start, end) for start, end in ranges)] = True
    return mask


def test_equal_masks_have_distance_0() -> None:
    mask = box((2, 5), (2, 7), (3, 9))
    assert surface_distances(mask, mask, (1.0, 1.0, 1.0)) == SurfaceDistances(0.0, 0.0)


@pytest.mark.parametrize(
    ("voxel", "distance"),
    [((1, 2, 5), 2.0 * 0.5), ((1, 4, 3), 2.0 * 0.7), ((3, 2, 3), 2.0 * 3.0)],
)
def test_each_axis_has_its_own_spacing(voxel: tuple[int, int, int], distance: float) -> None:
    # Two voxels that are 2 steps apart along x, y or z; the spacing (x, y, z) is (0.5, 0.7, 3) mm.
    one, other = (np.zeros((5, 6, 8), bool) for _ in range(2))
    one[1, 2, 3] = True
    other[voxel] = True
    found = surface_distances(one, other, (0.5, 0.7, 3.0))
    assert found.hd95_mm == pytest.approx(distance)
    assert found.assd_mm == pytest.approx(distance)


def test_the_distance_of_two_parallel_plates_is_the_same_everywhere() -> None:
    # The plates are one voxel thick and 20 voxels apart: every border voxel is 20 * 0.25 mm from the
    # other plate.
    one = box((0, 4), (0, 4), (1, 2), shape=(4, 4, 30))
    other = box((0, 4), (0, 4), (21, 22), shape=(4, 4, 30))
    assert surface_distances(one, other, (0.25, 1.0, 1.0)) == SurfaceDistances(5.0, 5.0)


def test_a_single_distant_voxel_changes_the_mean_but_not_the_95th_percentile() -> None:
    # One mask is a line of 99 voxels, the other has one more voxel 10 mm away. Its distances are 99
    # times 0 and once 10; the 99 distances of the other direction are 0.
    line = box((0, 1), (0, 1), (0, 99), shape=(1, 11, 99))
    stray = line.copy()
    stray[0, 10, 50] = True
    found = surface_distances(stray, line, (1.0, 1.0, 1.0))
    assert found.hd95_mm == 0.0
    assert found.assd_mm == pytest.approx(10 / 199)


def test_the_95th_percentile_is_that_of_the_direction_with_larger_distances() -> None:
    # The distances from the line to its first half are 0 (50 times), then 1, 2 ... 50. The 95th
    # percentile of these 100 values is at position 0.95 * 99 = 94.05, which interpolates to 45.05.
    long = box((0, 1), (0, 1), (0, 100), shape=(1, 1, 100))
    half = box((0, 1), (0, 1), (0, 50), shape=(1, 1, 100))
    for masks in ((long, half), (half, long)):
        found = surface_distances(*masks, (1.0, 1.0, 1.0))
        assert found.hd95_mm == pytest.approx(45.05)
        assert found.assd_mm == pytest.approx(sum(range(51)) / 150)


def border(mask: np.ndarray, spacing_zyx: tuple[float, ...]) -> np.ndarray:
    """Centres in mm, (n, 3), of the border voxels, found by a loop over all voxels of the mask."""
    padded = np.pad(mask, 1)
    steps = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1)]
    return np.array(
        [
            index * np.array(spacing_zyx)
            for index in np.argwhere(mask)
            if not all(padded[tuple(index + 1 + step)] for step in steps)
        ]
    )


@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
@settings(max_examples=25, deadline=None)
def test_the_distances_of_random_masks_follow_the_definition(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    one, other = (rng.random((5, 4, 6)) < density for _ in range(2))
    one[2, 2, 2] = other[1, 1, 1] = True
    spacing = (0.5, 0.8, 3.0)
    ours, theirs = border(one, spacing[::-1]), border(other, spacing[::-1])
    distances = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    there, back = distances.min(1), distances.min(0)
    found = surface_distances(one, other, spacing)
    worse = max(np.percentile(there, 95), np.percentile(back, 95))
    assert found.hd95_mm == pytest.approx(worse, rel=1e-5)
    assert found.assd_mm == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5, abs=1e-6)


def test_two_empty_masks_have_distance_0() -> None:
    empty = np.zeros((4, 5, 6), bool)
    assert surface_distances(empty, empty, (1.0, 1.0, 2.0)) == SurfaceDistances(0.0, 0.0)


def test_with_one_empty_mask_the_distance_is_the_volumes_diagonal() -> None:
    empty, mask = np.zeros((2, 3, 6), bool), box((0, 1), (0, 1), (0, 1), shape=(2, 3, 6))
    # 6 * 0.5, 3 * 2 and 2 * 1 mm: 3, 6 and 2, whose squares add up to 49.
    for one, other in ((empty, mask), (mask, empty)):
        assert surface_distances(one, other, (0.5, 2.0, 1.0)) == SurfaceDistances(7.0, 7.0)


def test_label_maps_are_compared_by_structure() -> None:
    structures = [Structure(name="A", label=1), Structure(name="B", label=2)]
    found, truth = np.zeros((1, 1, 8), np.uint8), np.zeros((1, 1, 8), np.uint8)
    found[0, 0, 1], truth[0, 0, 3] = 1, 1
    found[0, 0, 5] = truth[0, 0, 5] = 2
    distances = surface_by_structure(found, truth, structures, (1.5, 1.0, 1.0))
    assert distances == {"A": SurfaceDistances(3.0, 3.0), "B": SurfaceDistances(0.0, 0.0)}


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same 3D shape"):
        surface_distances(np.zeros((1, 2, 3), bool), np.zeros((1, 2, 4), bool), (1.0, 1.0, 1.0))
