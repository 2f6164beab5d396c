"""The figures of cases and sites, measured and combined."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedcross.errors import DataError
from fedcross.training.data.check.figures import (
    FOREGROUND_PERCENTILES,
    CaseFigures,
    Foreground,
    measure_case,
)
from fedcross.training.planning.figures import (
    Intensities,
    SiteFigures,
    combine_percentiles,
    combine_sites,
    read_figures,
    write_figures,
)

ROW = st.lists(st.integers(-50, 50), min_size=7, max_size=7).map(sorted)


def foreground(mean: float = 0.0, std: float = 1.0, **changes: object) -> Foreground:
    values = {
        "share": 0.1,
        "extent_mm": (10.0, 20.0, 30.0),
        "percentiles": (0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0),
        "mean": mean,
        "std": std,
        **changes,
    }
    return Foreground.model_validate(values)


def case(size=(10, 10, 10), spacing_mm=(1.0, 1.0, 1.0), drawn: Foreground | None = None):
    return CaseFigures(size=size, spacing_mm=spacing_mm, nonzero_box=1.0, foreground=drawn)


def test_a_case_is_measured_in_lps_whatever_its_stored_orientation() -> None:
    voxels = np.zeros((4, 5, 6), np.int16)
    voxels[1:3, 1:5, 2:5] = 7  # a box of 3 x 4 x 2 voxels, (x, y, z)
    label = np.zeros(voxels.shape, np.uint8)
    label[2, 2:4, 2] = 1
    voxels[2, 2:4, 2] = (10, 20)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((1.0, 2.0, 3.0))
    drawn = sitk.GetImageFromArray(label)
    drawn.CopyInformation(image)
    stored, stored_label = (sitk.DICOMOrient(each, "SAR") for each in (image, drawn))
    found = measure_case(stored, sitk.GetArrayFromImage(stored_label))
    assert found == measure_case(image, label)
    assert (found.size, found.spacing_mm) == ((6, 5, 4), (1.0, 2.0, 3.0))
    assert found.nonzero_box == pytest.approx(24 / 120)
    assert found.foreground is not None
    assert found.foreground.share == pytest.approx(2 / 120, rel=1e-5)
    assert found.foreground.extent_mm == (1.0, 4.0, 3.0)
    assert (found.foreground.mean, found.foreground.std) == (15.0, 5.0)
    assert found.foreground.percentiles[3] == 15.0


def test_the_padding_of_a_case_is_measured_and_the_largest_share_counts() -> None:
    voxels = np.random.default_rng(0).integers(0, 100, (4, 10, 10)).astype(np.int16)
    voxels[:, :3] = -2000
    image, label = sitk.GetImageFromArray(voxels), np.ones(voxels.shape, np.uint8)
    padded = measure_case(image, label)
    assert padded.padding == 0.3
    sites = [
        SiteFigures(train=1, cases=(case(drawn=foreground()),)),
        SiteFigures(train=1, cases=(padded,)),
    ]
    assert combine_sites(sites).padding == 0.3


def test_a_case_without_labels_or_values_is_measured_too() -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.float32))
    found = measure_case(image, np.zeros((2, 3, 4), np.uint8))
    assert (found.nonzero_box, found.foreground) == (0.0, None)


def test_a_volume_of_a_kilometre_is_refused() -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 2, 2), np.float32))
    image.SetSpacing((1e6, 1, 1))
    with pytest.raises(DataError, match=r"2e\+06 mm long"):
        measure_case(image, np.zeros((2, 2, 2), np.uint8))


def test_intensities_that_overflow_are_refused() -> None:
    image = sitk.GetImageFromArray(np.array([[[1e300, -1e300]]]))
    with pytest.raises(DataError, match="too large"):
        measure_case(image, np.ones((1, 1, 2), np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        {"size": (0, 1, 1)},
        {"spacing_mm": (1.0, 1.0, float("inf"))},
        {"nonzero_box": 1.1},
        {"name": "patient"},
        {"foreground": {"share": 0.1}},
    ],
)
def test_figures_of_another_form_are_refused(change: dict[str, object]) -> None:
    good = case(drawn=foreground()).model_dump()
    assert CaseFigures.model_validate(good)
    with pytest.raises(ValidationError):
        CaseFigures.model_validate(good | change)


def test_percentiles_that_fall_are_refused() -> None:
    with pytest.raises(ValidationError, match="must not fall"):
        foreground(percentiles=(3.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0))


def test_mean_and_deviation_are_those_of_all_voxels_with_equal_weight_of_the_cases() -> None:
    # Cases {-1, 1} and {3, 5}: mean 2, variance (9 + 1 + 1 + 9) / 4 = 5.
    both = Intensities.combine([foreground(0, 1), foreground(4, 1)])
    assert both.mean == 2
    assert both.std == pytest.approx(5**0.5)


def test_percentiles_of_one_case_are_its_own() -> None:
    row = np.array([[1.0, 2, 3, 4, 5, 6, 7]])
    for percentile, value in zip(FOREGROUND_PERCENTILES, row[0], strict=True):
        assert combine_percentiles(row, percentile) == pytest.approx(value)


def test_the_median_of_two_cases_apart_lies_where_half_of_all_voxels_are_below() -> None:
    # One case lies at 0, the other at 10: everything of the first is half of all.
    rows = np.array([[0.0] * 7, [10.0] * 7])
    assert combine_percentiles(rows, 50) == 0
    assert combine_percentiles(rows, 51) == 10
    # The second case is a ramp from 10 to 16: its percentile 50 is percentile 75 of both.
    ramp = np.array([[0.0] * 7, [10.0, 11, 12, 13, 14, 15, 16]])
    assert combine_percentiles(ramp, 75) == pytest.approx(13)
    assert combine_percentiles(ramp, 68.75) == pytest.approx(12.5)  # its percentile 37.5


@given(st.lists(ROW, min_size=1, max_size=5), st.floats(0.5, 99.5))
def test_a_percentile_lies_between_those_of_the_cases(rows, wanted) -> None:
    table = np.array(rows, dtype=float)
    found = combine_percentiles(table, wanted)
    each = [combine_percentiles(table[k : k + 1], wanted) for k in range(len(table))]
    assert min(each) - 1e-6 <= found <= max(each) + 1e-6


@given(ROW, st.integers(2, 5), st.floats(0.5, 99.5))
def test_copies_of_a_case_change_nothing(row, copies, wanted) -> None:
    one = np.array([row], dtype=float)
    many = np.repeat(one, copies, axis=0)
    assert combine_percentiles(many, wanted) == pytest.approx(combine_percentiles(one, wanted))


def test_sites_are_combined_with_equal_weight_of_every_case() -> None:
    first = SiteFigures(train=1, cases=(case((10, 10, 10), (2.0, 1.0, 1.0), foreground()),))
    second = SiteFigures(train=2, cases=(case((30, 10, 10)), case((40, 10, 10))))
    both = combine_sites([first, second])
    assert (both.cases, both.train) == (3, (1, 2))
    assert both.spacing_mm == (1.0, 1.0, 1.0)
    assert both.sides_mm == (30.0, 10.0, 10.0)
    assert both.median_size((1.0, 1.0, 2.0)) == (30, 10, 5)
    assert both.extent_mm == (10, 20, 30)


def test_of_the_spacings_median_and_percentile_10_are_kept() -> None:
    cases = tuple(case(spacing_mm=(1.0, 1.0, float(z))) for z in range(2, 13))
    drawn = case(drawn=foreground(), spacing_mm=(1.0, 1.0, 7.0))
    found = combine_sites([SiteFigures(train=1, cases=(*cases[:5], drawn, *cases[6:]))])
    assert (found.spacing_mm, found.fine_spacing_mm) == ((1.0, 1.0, 7.0), (1.0, 1.0, 3.0))


def test_combined_figures_are_written_and_read_again(tmp_path: Path) -> None:
    found = combine_sites([SiteFigures(train=1, cases=(case(drawn=foreground()),))], ["north"])
    write_figures(tmp_path / "new", found)
    assert read_figures(tmp_path / "new") == found
    (tmp_path / "new" / "figures.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="missing or damaged"):
        read_figures(tmp_path / "new")


def test_a_federation_without_labelled_voxels_is_refused() -> None:
    with pytest.raises(DataError, match="No training or validation case has a labelled voxel"):
        combine_sites([SiteFigures(train=1, cases=(case(),))])
