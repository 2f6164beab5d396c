"""What a site sends, and the calibration that follows from it."""

from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedcross.calibration.curves import LikelihoodCurve, LossCurve, SiteCurves, StructureCurves
from fedcross.calibration.fit import describe_gaps, fit_calibration, fit_temperature
from fedcross.model.calibration import Calibration
from fedcross.model.calibration_text import describe_structure, describe_wide_intervals
from fedcross.uncertainty.contours import MARGINS_MM
from fedcross.uncertainty.predicted_dice import count_cases
from fedcross.uncertainty.risk_control import DEFAULT_POOLING, POOLINGS
from fedcross.uncertainty.temperature import TEMPERATURES
from fedcross.uncertainty.volume_interval import count_scores, count_widths

SIZES = len(MARGINS_MM)


def one_case(
    *,
    agreement: float = 0.9,
    dice: float = 0.8,
    score: float = 0.25,
    reach_mm: float = 2.0,
    width: float = 0.2,
) -> StructureCurves:
    """A case whose contours have the loss 0.5 up to a margin and none beyond."""
    losses = 0.5 * (np.array(MARGINS_MM) < reach_mm)
    below, above = count_scores([score]).tolist()
    counts = count_cases(np.array([agreement]), np.array([dice])).tolist()
    return StructureCurves(
        name="Organ",
        cases=1,
        dice=tuple(map(tuple, counts)),
        volume_below=tuple(below),
        volume_above=tuple(above),
        inner=LossCurve.of(losses),
        outer=LossCurve.of(losses),
        volume_widths=tuple(count_widths([width]).tolist()),
    )


def site(*cases: StructureCurves, temperature: float = 1.0) -> SiteCurves:
    structures = (reduce(add, cases),) if cases else ()
    return SiteCurves(cases=len(cases), temperature=temperature, structures=structures)


def fit(*sites: SiteCurves, pooling: Any = DEFAULT_POOLING) -> Calibration:
    return fit_calibration(sites, ["Organ"], pooling)


def test_nine_cases_of_a_site_calibrate_all_but_the_stricter_contours() -> None:
    found = fit(site(*[one_case()] * 9))
    (organ,) = found.structures
    assert (found.cases, found.sites, organ.cases, organ.sites) == (9, 1, 9, 1)
    assert organ.volume is not None
    assert organ.volume.below == organ.volume.above == pytest.approx(0.3)  # 0.25, rounded up
    (contour,) = organ.contours
    assert (contour.alpha, contour.inner, contour.outer) == (0.1, 2.0, 2.0)
    assert organ.predicted_dice is not None
    assert describe_gaps(found) == [
        "Organ, 9 cases of 1 site: no inner contour at 5 % (needs 19 cases), no outer contour at 5 % "
        "(needs 19 cases)."
    ]


def test_the_width_of_the_interval_is_told_and_one_that_is_of_no_use_is_named() -> None:
    narrow = fit(site(*[one_case(score=0.95, width=0.2)] * 9))
    text = describe_structure(narrow.structures[0])
    assert "volume interval 90 %: 0.82 to 1.22 times the volume in the median case;" in text
    assert describe_wide_intervals(narrow) == []
    # exp(3.5 * 0.2) = 2.014: from 1 / 2.014 to 2.014 times the volume, a factor of 4.06.
    wide = fit(site(*[one_case(score=3.45, width=0.2)] * 9))
    assert "2.01 times the volume in the median case, too wide to be useful" in describe_structure(
        wide.structures[0]
    )
    (sentence,) = describe_wide_intervals(wide)
    assert sentence.startswith("Organ: the volume interval is too wide to be useful in half of the")
    # exp(3.4 * 0.2) = 1.974, a factor of 3.90.
    assert describe_wide_intervals(fit(site(*[one_case(score=3.4, width=0.2)] * 9))) == []


def test_with_too_few_cases_nothing_is_promised_and_it_is_said() -> None:
    found = fit(site(*[one_case()] * 2))
    (organ,) = found.structures
    assert organ.predicted_dice is organ.volume is None
    assert organ.contours == ()
    (sentence,) = describe_gaps(found)
    assert sentence.startswith(
        "Organ, 2 cases of 1 site: no predicted Dice (needs 3 cases), no volume interval (needs 9"
    )


def test_what_no_size_keeps_is_missing_with_enough_cases_and_it_is_said() -> None:
    found = fit(site(*[one_case(score=100.0, reach_mm=100.0)] * 20))
    (organ,) = found.structures
    assert organ.volume is None
    assert organ.contours == ()
    (sentence,) = describe_gaps(found)
    assert "no volume interval (none keeps the promise at these sites)" in sentence


def test_without_an_agreement_the_predicted_dice_is_missing_and_the_reason_is_said() -> None:
    none = np.zeros_like(count_cases(np.array([0.9]), np.array([0.8]))).tolist()
    lone = one_case().model_copy(update={"dice": tuple(map(tuple, none))})
    (sentence,) = describe_gaps(fit(site(*[lone] * 4)))
    assert "no predicted Dice (needs 3 cases with an agreement of two members or more)" in sentence


def test_nineteen_cases_calibrate_everything() -> None:
    found = fit(site(*[one_case()] * 10), site(*[one_case()] * 9))
    assert describe_gaps(found) == []
    assert [each.alpha for each in found.structures[0].contours] == [0.05, 0.1]


def test_a_site_that_differs_enlarges_the_contours_of_shrunk_and_not_of_pooled() -> None:
    sites = [site(*[one_case()] * 20) for _ in range(5)] + [site(*[one_case(reach_mm=6)] * 5)]
    margins = {
        pooling: fit(*sites, pooling=pooling).structures[0].contours[-1].outer
        for pooling in ("pooled", "shrunk")
    }
    # Pooled at 2 mm: (5 * 0.5 + 1) / 106 is below 0.1, although the sixth site misses a half.
    assert margins == {"pooled": 2.0, "shrunk": 6.0}


def test_a_structure_that_was_not_drawn_is_not_calibrated() -> None:
    found = fit_calibration([site(*[one_case()] * 9)], ["Organ", "Other"], "pooled")
    assert [each.name for each in found.structures] == ["Organ"]
    assert fit(site()).structures == ()


def test_curves_of_different_temperatures_are_not_combined() -> None:
    with pytest.raises(ValueError, match="one temperature"):
        fit(site(one_case()), site(one_case(), temperature=2.0))


def test_the_temperature_is_that_of_the_pooled_likelihoods() -> None:
    def curve(best: float, cases: int) -> LikelihoodCurve:
        sums = cases * np.log(np.array(TEMPERATURES) / best) ** 2
        return LikelihoodCurve(cases=cases, sums=tuple(sums.tolist()))

    assert fit_temperature([curve(2.0, 3)], 1.0) == 2.0
    # One case at 1/2 and three at 2: the mean of the logarithms is half of that of 2.
    assert fit_temperature([curve(0.5, 1), curve(2.0, 3)], 1.0) == pytest.approx(2**0.5)
    assert fit_temperature([curve(2.0, 0)], 1.5) == 1.5


cases = st.lists(
    st.builds(
        one_case,
        agreement=st.floats(0, 1),
        dice=st.floats(0, 1),
        score=st.floats(-25, 25),
        reach_mm=st.floats(0, 50),
    ),
    min_size=2,
    max_size=6,
)


@given(cases, st.integers(1, 5))
def test_the_curves_of_two_sites_add_up_to_those_of_all_cases(
    all_cases: list[StructureCurves], cut: int
) -> None:
    cut = min(cut, len(all_cases) - 1)
    parts = reduce(add, all_cases[:cut]) + reduce(add, all_cases[cut:])
    whole = reduce(add, all_cases)
    assert (parts.cases, parts.dice) == (whole.cases, whole.dice)
    np.testing.assert_array_equal(parts.volume_counts, whole.volume_counts)
    for name in ("inner", "outer"):
        one, other = getattr(parts, name), getattr(whole, name)
        np.testing.assert_allclose(one.sums, other.sums, atol=1e-9)
        np.testing.assert_allclose(one.squares, other.squares, atol=1e-9)


@given(cases, st.sampled_from(POOLINGS))
def test_any_curves_give_a_calibration_that_a_manifest_accepts(
    all_cases: list[StructureCurves], pooling: Any
) -> None:
    found = fit(*[site(*all_cases[start::3]) for start in range(3)], pooling=pooling)
    assert Calibration.model_validate_json(found.model_dump_json()) == found


def test_curves_survive_their_way_as_json() -> None:
    curves = site(one_case(), one_case(dice=0.1))
    assert SiteCurves.model_validate_json(curves.model_dump_json()) == curves


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cases",), -1),
        (("cases",), 10**9),
        (("temperature",), 0),
        (("structures", 0, "cases"), 5),
        (("structures", 0, "dice"), [[1] * 50]),
        (("structures", 0, "dice", 0), [7] * 50),
        (("structures", 0, "volume_above"), [1] * 202),
        (("structures", 0, "volume_above"), [0] * 10),
        (("structures", 0, "outer", "sums"), [0.1] * 3),
        (("structures", 0, "outer", "sums"), [float(step) for step in range(SIZES)]),
        (("structures", 0, "outer", "sums"), [9.0] * SIZES),
        (("structures", 0, "outer", "squares"), [1.0] * SIZES),
        (("structures", 0, "inner", "squares"), [-1.0] * SIZES),
        (("structures", 0, "inner", "squares"), ["NaN"] * SIZES),
        (("structures", 0, "name"), "a/b"),
        (("names",), ["patient"]),
    ],
)
def test_curves_that_no_cases_can_have_are_refused(path: tuple[Any, ...], value: Any) -> None:
    record = site(one_case()).model_dump(mode="json")
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValidationError):
        SiteCurves.model_validate(record)
