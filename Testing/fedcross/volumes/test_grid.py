import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.volumes.grid import Grid, restore_order

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*order)
]


def test_a_volume_has_48_storage_orders():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_storage_order_is_restored_exactly(volume, orientation):
    stored = sitk.DICOMOrient(volume, orientation)
    oriented = sitk.DICOMOrient(stored, "LPS")
    restored = restore_order(sitk.GetArrayFromImage(oriented), Grid.of(oriented), Grid.of(stored))
    np.testing.assert_array_equal(restored, sitk.GetArrayFromImage(stored))


def test_index_to_world_agrees_with_simpleitk(volume):
    volume.SetDirection((0, 0.6, 0.8, 1, 0, 0, 0, 0.8, -0.6))
    world = Grid.of(volume).index_to_world @ (3, 5, 7, 1)
    np.testing.assert_allclose(
        world[:3], volume.TransformContinuousIndexToPhysicalPoint((3, 5, 7)), rtol=1e-12
    )


def test_an_image_made_from_a_grid_has_the_geometry_of_the_grid(volume):
    grid = Grid.of(volume)
    assert Grid.of(grid.image(np.zeros(grid.shape, np.uint8))) == grid


def test_a_grid_with_another_spacing_keeps_the_centre_of_the_box():
    grid = Grid((4, 3, 10), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    finer = grid.with_spacing((0.5, 2.0, 4.0))
    assert finer.size == (8, 3, 8)  # 30 mm / 4 mm = 7.5 is rounded to the even number
    # Centres: x 5 + 1.5, y 6 + 2, z 7 + 13.5; half extents 1.75, 2, 14.
    assert finer.origin_mm == pytest.approx((6.5 - 1.75, 6.0, 20.5 - 14.0))


def test_a_grid_with_a_large_spacing_keeps_at_least_one_voxel():
    grid = Grid((1, 2, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert grid.with_spacing((50.0, 50.0, 50.0)).size == (1, 1, 1)


def test_shape_and_volume_follow_from_size_and_spacing():
    grid = Grid((4, 3, 10), (1.0, 2.0, 3.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    assert grid.shape == (10, 3, 4)
    assert grid.voxels == 120
    assert grid.voxel_volume_mm3 == 6.0
