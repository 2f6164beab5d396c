from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.train.data.phantom.styles import MEAN_STYLE, SITE_STYLES, style_at
from fedcross.train.data.phantom.volumes import make_case, write_synthetic_federation


def test_with_shift_0_every_style_is_the_mean_style() -> None:
    assert all(style_at(style, 0.0) == MEAN_STYLE for style in SITE_STYLES.values())


def test_with_shift_1_a_style_is_unchanged() -> None:
    for style in SITE_STYLES.values():
        moved = style_at(style, 1.0)
        assert moved.gain == pytest.approx(style.gain)
        assert moved.radius_mm == pytest.approx(style.radius_mm)


def test_with_a_large_shift_intensities_and_spacings_are_positive() -> None:
    for style in SITE_STYLES.values():
        moved = style_at(style, 5.0)
        assert min(moved.organ, moved.noise, moved.gain, *moved.spacing_mm) > 0


def test_equal_seeds_give_equal_cases_and_different_seeds_different_cases() -> None:
    first, _ = make_case(MEAN_STYLE, np.random.default_rng(1))
    again, _ = make_case(MEAN_STYLE, np.random.default_rng(1))
    other, _ = make_case(MEAN_STYLE, np.random.default_rng(2))
    assert np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(again))
    assert not np.array_equal(sitk.GetArrayFromImage(first), sitk.GetArrayFromImage(other))


def test_the_organ_is_brighter_than_its_surroundings_and_of_plausible_size() -> None:
    image, mask = make_case(MEAN_STYLE, np.random.default_rng(3))
    voxels, organ = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(mask) == 1
    volume_ml = organ.sum() * np.prod(MEAN_STYLE.spacing_mm) / 1000
    assert 10 < volume_ml < 45
    assert voxels[organ].mean() > 1.2 * voxels[~organ].mean()


def test_a_larger_margin_labels_more_voxels() -> None:
    inside, outside = (
        make_case(replace(MEAN_STYLE, margin_mm=margin), np.random.default_rng(4))[1]
        for margin in (-1.0, 1.0)
    )
    assert sitk.GetArrayFromImage(outside).sum() > 1.1 * sitk.GetArrayFromImage(inside).sum()


def test_every_written_image_has_a_label_of_equal_geometry(
    tmp_path: Path,
) -> None:
    counts: list[tuple[int, int]] = []
    sites = write_synthetic_federation(
        tmp_path,
        cases_per_site=1,
        seed=0,
        progress=lambda done, total: counts.append((done, total)),
    )
    assert sites == tuple(SITE_STYLES)
    assert counts[-1] == (4, 4)
    directions = set()
    for site in sites:
        image = sitk.ReadImage(str(tmp_path / site / "images" / "case-01.nii.gz"))
        label = sitk.ReadImage(str(tmp_path / site / "labels" / "case-01.nii.gz"))
        assert image.GetSize() == label.GetSize()
        assert image.GetDirection() == label.GetDirection()
        assert set(np.unique(sitk.GetArrayFromImage(label))) == {0, 1}
        directions.add(image.GetDirection())
    assert len(directions) == 4  # every site stores its axes in another order
