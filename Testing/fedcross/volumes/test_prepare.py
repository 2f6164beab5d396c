import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes import prepare as preprocess
from fedcross.volumes.grid import Grid
from fedcross.volumes.intensity import zscore
from fedcross.volumes.prepare import prepare, resample_to_source
from fedcross.volumes.preprocessing import Preprocessing


def preprocessing_at(*spacing_mm: float) -> Preprocessing:
    return Preprocessing(spacing_mm=spacing_mm, patch_size=(16, 16, 16))


def test_at_the_bundles_spacing_nothing_is_interpolated(volume, blobs):
    prepared = prepare(volume, preprocessing_at(1.1, 0.9, 2.5))
    np.testing.assert_array_equal(prepared.array, zscore(blobs)[None])
    assert prepared.grid == prepared.source


def test_a_spacing_that_differs_by_float32_rounding_counts_as_the_bundles(volume, blobs):
    volume.SetSpacing([float(np.float32(side)) for side in (1.1, 0.9, 2.5)])
    prepared = prepare(volume, preprocessing_at(1.1, 0.9, 2.5))
    np.testing.assert_array_equal(prepared.array, zscore(blobs)[None])


def test_the_networks_grid_agrees_with_simpleitks_interpolation(volume, blobs):
    prepared = prepare(volume, preprocessing_at(0.7, 1.4, 2.0))
    assert prepared.array.shape == (1, *prepared.grid.shape)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            prepared.source.image(zscore(blobs)),
            prepared.grid.image(prepared.array[0]),
            sitk.Transform(),
            sitk.sitkLinear,
            -99.0,
        )
    )
    inside = expected > -50
    assert inside.mean() > 0.9
    np.testing.assert_allclose(prepared.array[0][inside], expected[inside], atol=1e-4)


def test_resampling_to_the_source_agrees_with_simpleitks_interpolation(volume):
    stored = sitk.DICOMOrient(volume, "PIR")
    prepared = prepare(stored, preprocessing_at(0.7, 1.4, 2.0))
    back = resample_to_source(prepared.array[0], prepared)
    expected = sitk.GetArrayFromImage(
        sitk.Resample(
            prepared.grid.image(prepared.array[0]),
            stored,
            sitk.Transform(),
            sitk.sitkLinear,
            -99.0,
            sitk.sitkFloat32,
        )
    )
    inside = expected > -50
    assert inside.mean() > 0.8
    np.testing.assert_allclose(back[inside], expected[inside], atol=1e-4)


@pytest.mark.parametrize("letters", list(itertools.product("LR", "PA", "SI")))
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_the_networks_input_does_not_depend_on_the_storage_order(volume, letters, order):
    stored = sitk.DICOMOrient(volume, "".join(letters[axis] for axis in order))
    plain = prepare(volume, preprocessing_at(1.3, 1.3, 1.3))
    prepared = prepare(stored, preprocessing_at(1.3, 1.3, 1.3))
    np.testing.assert_array_equal(prepared.array, plain.array)
    np.testing.assert_allclose(prepared.grid.origin_mm, plain.grid.origin_mm, atol=1e-9)


def test_at_the_bundles_spacing_resampling_to_the_source_returns_the_same_values(volume):
    stored = sitk.DICOMOrient(volume, "SAR")
    prepared = prepare(stored, preprocessing_at(1.1, 0.9, 2.5))
    back = resample_to_source(prepared.array[0], prepared)
    np.testing.assert_array_equal(back, zscore(sitk.GetArrayFromImage(stored)))


def test_a_linear_ramp_is_unchanged_inside_after_resampling_to_the_source(volume):
    z, y, x = np.meshgrid(*(np.arange(float(n)) for n in (18, 30, 41)), indexing="ij")
    ramp = sitk.GetImageFromArray((3 * z + 2 * y + x).astype(np.float32))
    ramp.CopyInformation(volume)
    prepared = prepare(ramp, preprocessing_at(1.6, 1.2, 1.7))
    back = resample_to_source(prepared.array[0], prepared)
    core = (slice(2, -2),) * 3
    np.testing.assert_allclose(back[core], zscore(3 * z + 2 * y + x)[core], atol=1e-4)


def test_an_oblique_volume_keeps_the_remaining_rotation():
    image = sitk.GetImageFromArray(np.random.default_rng(1).random((4, 5, 6)))
    cosine, sine = np.cos(0.3), np.sin(0.3)
    image.SetDirection((-cosine, sine, 0, -sine, -cosine, 0, 0, 0, 1))  # near RAS, rotated
    prepared = prepare(image, preprocessing_at(1, 1, 1))
    np.testing.assert_allclose(
        prepared.grid.direction, (cosine, -sine, 0, sine, cosine, 0, 0, 0, 1), atol=1e-12
    )
    np.testing.assert_array_equal(
        resample_to_source(prepared.array[0], prepared), zscore(sitk.GetArrayFromImage(image))
    )


def test_a_volume_one_voxel_thick_can_be_prepared_and_resampled_to_the_source():
    image = sitk.GetImageFromArray(np.random.default_rng(1).random((1, 12, 10)))
    image.SetSpacing((1, 1, 5))
    prepared = prepare(image, preprocessing_at(1, 1, 1))
    assert prepared.array.shape == (1, 5, 12, 10)
    np.testing.assert_allclose(
        resample_to_source(prepared.array[0], prepared),
        zscore(sitk.GetArrayFromImage(image)),
        atol=1e-6,
    )


def test_a_volume_with_too_many_voxels_at_the_bundles_spacing_is_refused(volume, monkeypatch):
    monkeypatch.setattr(preprocess, "MAX_VOXELS", 10_000)
    with pytest.raises(DataError, match="At the bundle's spacing the volume would have 45 x 27 x"):
        prepare(volume, preprocessing_at(1, 1, 1))


def test_the_source_grid_is_the_grid_of_the_input(volume):
    stored = sitk.DICOMOrient(volume, "RIA")
    assert prepare(stored, preprocessing_at(1, 1, 1)).source == Grid.of(stored)


def test_the_kind_of_normalisation_is_that_of_the_settings(volume, blobs):
    ct = Preprocessing(
        spacing_mm=(1.1, 0.9, 2.5),
        patch_size=(16, 16, 16),
        intensity="ct",
        window=(200, 600),
        mean=500,
        std=100,
    )
    expected = (blobs.clip(200, 600) - 500) / 100
    np.testing.assert_allclose(prepare(volume, ct).array[0], expected, atol=1e-5)
