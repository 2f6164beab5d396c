import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

import dataset_trees
from fedcross.errors import DataError
from fedcross.train.data.label_grid import to_image_grid

ARRAY = np.random.default_rng(5).integers(0, 3, (4, 5, 6)).astype(np.uint8)


def image() -> sitk.Image:
    return dataset_trees.to_image(np.zeros(ARRAY.shape, np.int16))


def label() -> sitk.Image:
    return dataset_trees.to_image(ARRAY)


def move(picture: sitk.Image, by_mm: float) -> sitk.Image:
    picture = sitk.Image(picture)
    picture.SetOrigin([value + by_mm for value in picture.GetOrigin()])
    return picture


orders = st.sampled_from(list(itertools.permutations(range(3))))
flips = st.tuples(st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=48, deadline=None)
@given(orders, flips)
def test_a_label_in_another_order_of_axes_is_reordered_exactly(
    order: tuple[int, ...], flip: tuple[bool, ...]
) -> None:
    stored = sitk.Flip(sitk.PermuteAxes(label(), order), flip)
    assert np.array_equal(to_image_grid(stored, image(), resample=False), ARRAY)


def test_rounding_in_a_header_is_no_difference() -> None:
    assert np.array_equal(to_image_grid(move(label(), 0.02), image(), resample=False), ARRAY)


def test_a_label_on_another_grid_is_refused_with_a_hint() -> None:
    with pytest.raises(DataError, match=r"the image's origin is .*resample_labels = true"):
        to_image_grid(move(label(), 1.0), image(), resample=False)
    with pytest.raises(DataError, match=r"image has \(6, 5, 4\) voxels, the label \(6, 5, 2\)"):
        to_image_grid(label()[:, :, ::2], image(), resample=False)


def test_a_label_with_thicker_slices_is_resampled_onto_the_image() -> None:
    found = to_image_grid(label()[:, :, ::2], image(), resample=True)
    # A slice half way between two has the values of the second; beyond the last slice they are 0.
    assert np.array_equal(found[:3], ARRAY[[0, 2, 2]])
    assert not found[3].any()


def test_outside_a_label_of_part_of_the_image_the_values_are_zero() -> None:
    found = to_image_grid(label()[1:4, :, 1:3], image(), resample=True)
    expected = np.zeros_like(ARRAY)
    expected[1:3, :, 1:4] = ARRAY[1:3, :, 1:4]
    assert np.array_equal(found, expected)


def test_labelled_voxels_outside_the_image_are_refused() -> None:
    # The shift is three columns of 0.5 mm to the left: the first three columns are outside.
    shifted = label()
    shifted.SetOrigin((shifted.GetOrigin()[0] - 1.5, *shifted.GetOrigin()[1:]))
    outside = np.count_nonzero(ARRAY[:, :, :3])
    with pytest.raises(DataError, match=f"{outside} labelled voxels are outside the image"):
        to_image_grid(shifted, image(), resample=True)


def test_an_empty_label_of_another_grid_stays_empty() -> None:
    nothing = dataset_trees.to_image(np.zeros((2, 2, 2), np.uint8), number=50)
    assert not to_image_grid(nothing, image(), resample=True).any()
