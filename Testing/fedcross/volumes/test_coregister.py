"""Further channels are brought onto the grid of the first image."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.volumes.coregister import do_overlap, onto_grid
from fedcross.volumes.grid import Grid
from fedcross.volumes.intensity import zscore
from fedcross.volumes.prepare import prepare
from fedcross.volumes.preprocessing import Preprocessing

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
COSINE, SINE = float(np.cos(0.4)), float(np.sin(0.4))
TURNED = (COSINE, -SINE, 0.0, SINE, COSINE, 0.0, 0.0, 0.0, 1.0)
NAMES = ("T2", "ADC")
CUBE = Grid((10, 10, 10), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), IDENTITY)


def moved(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, direction: tuple[float, ...] = IDENTITY
) -> Grid:
    return Grid(CUBE.size, CUBE.spacing_mm, (x, y, z), direction)


def turned_cube(centre_x: float) -> Grid:
    """`CUBE` turned by 45 degrees about z, with another x of its centre."""
    side = 0.5**0.5
    direction = (side, -side, 0.0, side, side, 0.0, 0.0, 0.0, 1.0)
    return Grid(CUBE.size, CUBE.spacing_mm, (centre_x, 4.5 - 9 * side, 0.0), direction)


def preprocessing(spacing_mm: tuple[float, float, float], count: int = 2) -> Preprocessing:
    names = ["T2", "ADC", "DWI"][:count]
    return Preprocessing.model_validate(
        {"spacing_mm": spacing_mm, "patch_size": (16, 16, 16), "channels": names}
    )


def smooth(image: sitk.Image, order: int = 1) -> sitk.Image:
    """Another image on the same grid, with other intensities."""
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    other = sitk.GetImageFromArray(np.sqrt(voxels + 10.0) * order)
    other.CopyInformation(image)
    return other


def test_an_image_on_the_grid_of_the_first_is_not_interpolated(volume: sitk.Image) -> None:
    other = smooth(volume)
    prepared = prepare(volume, preprocessing((1.1, 0.9, 2.5)), [other])
    expected = [zscore(sitk.GetArrayFromImage(each)) for each in (volume, other)]
    np.testing.assert_array_equal(prepared.array, np.stack(expected))


def test_every_channel_is_resampled_like_a_single_one(volume: sitk.Image) -> None:
    others = [smooth(volume), smooth(volume, -3)]
    together = prepare(volume, preprocessing((0.7, 1.4, 2.0), 3), others)
    for found, image in zip(together.array, (volume, *others), strict=True):
        alone = prepare(image, preprocessing((0.7, 1.4, 2.0), 1))
        np.testing.assert_array_equal(found, alone.array[0])


@pytest.mark.parametrize("order", ["LPS", "RAI", "SPL"])
def test_an_image_stored_in_another_order_of_axes_is_not_interpolated(
    volume: sitk.Image, order: str
) -> None:
    stored = sitk.DICOMOrient(smooth(volume), order)
    found = prepare(volume, preprocessing((1.1, 0.9, 2.5)), [stored])
    expected = prepare(volume, preprocessing((1.1, 0.9, 2.5)), [smooth(volume)])
    np.testing.assert_array_equal(found.array, expected.array)


def test_a_header_that_differs_by_rounding_counts_as_the_same_grid(volume: sitk.Image) -> None:
    other = smooth(volume)
    other.SetOrigin([float(np.float32(side)) + 1e-3 for side in volume.GetOrigin()])
    found = prepare(volume, preprocessing((1.1, 0.9, 2.5)), [other]).array
    np.testing.assert_array_equal(found[1], zscore(sitk.GetArrayFromImage(other)))


def test_an_image_on_another_grid_is_interpolated_linearly_and_is_zero_outside(
    volume: sitk.Image,
) -> None:
    """A ramp in space: linear interpolation returns its value at every voxel of the first image."""
    size, spacing = (30, 24, 20), (1.3, 1.3, 1.3)
    z, y, x = np.meshgrid(*(np.arange(float(n)) for n in size[::-1]), indexing="ij")
    ramp = sitk.GetImageFromArray((x + 2 * y - z).astype(np.float32))
    ramp.SetSpacing(spacing)
    ramp.SetDirection(TURNED)
    ramp.SetOrigin((-25.0, 15.0, 105.0))
    found = prepare(volume, preprocessing((1.1, 0.9, 2.5)), [ramp]).array[1]
    voxels = sitk.GetArrayFromImage(ramp).astype(np.float64)
    inside = outside = 0
    for index in np.ndindex(found.shape):
        point = volume.TransformIndexToPhysicalPoint([int(n) for n in index[::-1]])
        i, j, k = ramp.TransformPhysicalPointToContinuousIndex(point)
        if all(0 <= n <= side - 1 for n, side in zip((i, j, k), size, strict=True)):
            expected = (i + 2 * j - k - voxels.mean()) / voxels.std()
            assert found[index] == pytest.approx(expected, abs=1e-4)
            inside += 1
        elif any(n < -0.6 or n > side - 0.4 for n, side in zip((i, j, k), size, strict=True)):
            assert found[index] == 0
            outside += 1
    assert inside > 1000
    assert outside > 1000


def test_images_without_a_common_point_are_refused(volume: sitk.Image) -> None:
    other = smooth(volume)
    other.SetOrigin((-31.5, 12.25, 400.0))
    with pytest.raises(DataError, match="The image for ADC lies beside the image for T2"):
        prepare(volume, preprocessing((1.1, 0.9, 2.5)), [other])


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_images_than_channels_is_an_error(volume: sitk.Image, count: int) -> None:
    with pytest.raises(ValueError, match="zip"):
        prepare(volume, preprocessing((1.1, 0.9, 2.5)), [smooth(volume)] * count)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (moved(), True),
        (moved(x=9.9), True),
        (moved(x=10.0), False),  # the faces touch
        (moved(x=10.1), False),
        (moved(y=-9.9, z=9.9), True),
        (moved(y=-9.9, z=10.1), False),
        (Grid((1, 1, 1), (0.1, 0.1, 0.1), (4.5, 4.5, 4.5), IDENTITY), True),  # inside
        (Grid((200, 1, 1), (1.0, 0.1, 0.1), (-50.0, 4.5, 4.5), IDENTITY), True),  # a rod through it
        # Turned by 45 degrees, the edge of the other cube is 5 sqrt(2) = 7.07 from its centre.
        (turned_cube(centre_x=16.5), True),
        (turned_cube(centre_x=16.6), False),
    ],
)
def test_boxes_overlap_if_they_have_a_common_volume(other: Grid, expected: bool) -> None:
    assert do_overlap(CUBE, other) is expected
    assert do_overlap(other, CUBE) is expected


@given(
    at=st.tuples(*[st.floats(-25, 25)] * 3),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_boxes_that_share_a_voxel_centre_overlap(
    at: tuple[float, float, float], angles: tuple[float, float, float]
) -> None:
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*angles)
    other = Grid((7, 12, 3), (1.5, 0.8, 3.0), at, tuple(turn.GetMatrix()))
    centres = np.indices(other.size).reshape(3, -1)
    world = other.index_to_world @ np.vstack([centres, np.ones(centres.shape[1])])
    index = (np.linalg.inv(CUBE.index_to_world) @ world)[:3]
    if ((index > -0.49) & (index < 9.49)).all(axis=0).any():
        assert do_overlap(CUBE, other)


def test_scores_on_the_same_grid_are_returned_themselves() -> None:
    scores: NDArray[np.float32] = np.zeros(CUBE.shape, np.float32)
    assert onto_grid(scores, CUBE, CUBE, NAMES) is scores
