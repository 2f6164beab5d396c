"""The interval of a volume."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.uncertainty.volume_interval import (
    FLOOR,
    LARGEST_SPREAD,
    STEP,
    STEPS,
    VolumeScale,
    choose_quantiles,
    count_scores,
    count_widths,
    median_width,
)

volumes = st.floats(0.01, 5000)


def test_score_and_interval_equal_hand_computed_numbers() -> None:
    scale = VolumeScale.of(20.0, [20.0 / 1.1, 20.0 * 1.1])
    assert scale is not None
    assert scale.width == pytest.approx(math.log(1.1) + FLOOR)
    assert scale.score(20.0) == 0
    assert scale.score(40.0) == pytest.approx(math.log(2) / (math.log(1.1) + 0.05))
    low, high = VolumeScale(20.0, 0.5).interval(2.0, 4.0)
    assert (low, high) == pytest.approx((20 / math.e, 20 * math.e**2))


def test_the_spread_has_an_upper_end_also_where_a_member_found_nothing() -> None:
    for members in ([1.0, 400.0], [0.0, 40.0]):
        scale = VolumeScale.of(20.0, members)
        assert scale is not None
        assert scale.width == LARGEST_SPREAD + FLOOR


def test_there_is_no_interval_where_the_ensemble_found_nothing() -> None:
    assert VolumeScale.of(0.0, [10.0, 40.0]) is None
    assert VolumeScale(20.0, 0.1).score(0.0) == -math.inf


def test_scores_are_rounded_away_from_zero() -> None:
    counts = count_scores([0.0, 0.1, 0.11, -0.11, -0.2, 20.0, 20.01, -math.inf])
    assert np.flatnonzero(counts[1]).tolist() == [0, 1, 2, STEPS, STEPS + 1]
    assert np.flatnonzero(counts[0]).tolist() == [2, STEPS + 1]
    assert counts[0, 2] == 2
    assert counts.sum() == 8


def test_the_quantile_is_that_of_split_conformal_prediction() -> None:
    # Nine scores: the ceil(0.9 * 10) = ninth smallest, which is the largest.
    nine = count_scores([0.1 * k for k in range(1, 10)])
    assert choose_quantiles([nine], "pooled") == (pytest.approx(0.9), pytest.approx(0.9))
    assert choose_quantiles([count_scores([0.1] * 8)], "pooled") is None
    # 19 scores: on each side at most 0.05 * 20 - 1 = 0 misses.
    mixed = count_scores([0.5] * 12 + [-0.3] * 7)
    assert choose_quantiles([mixed], "pooled") == (pytest.approx(0.3), pytest.approx(0.5))


def test_a_score_beyond_the_grid_is_never_covered() -> None:
    assert choose_quantiles([count_scores([0.1] * 8 + [100.0])], "pooled") is None
    many = count_scores([0.1] * 60 + [100.0])
    assert choose_quantiles([many], "pooled") == (0.0, pytest.approx(0.1))


def test_a_site_without_scores_is_left_out() -> None:
    nine = count_scores([0.3] * 9)
    assert choose_quantiles([count_scores([]), nine], "per-site") == choose_quantiles(
        [nine], "per-site"
    )
    assert choose_quantiles([], "shrunk") is None


def test_per_site_needs_enough_cases_from_each_site() -> None:
    nine, two = count_scores([0.3] * 9), count_scores([0.2] * 2)
    assert choose_quantiles([nine, two], "per-site") is None
    assert choose_quantiles([nine, two], "pooled") is not None


@pytest.mark.parametrize("cases", [12, 40])
def test_the_interval_covers_exchangeable_cases_with_its_coverage(cases: int) -> None:
    rng = np.random.default_rng(cases)
    covered = 0
    trials = 600
    for _ in range(trials):
        spreads = rng.uniform(0.01, 0.3, cases + 1)
        scales = [
            VolumeScale(float(v), float(s))
            for v, s in zip(rng.uniform(5, 80, cases + 1), spreads, strict=True)
        ]
        truths = [s.volume_ml * math.exp(rng.normal(0.1, 1) * s.width) for s in scales]
        scores = [s.score(t) for s, t in zip(scales, truths, strict=True)]
        quantiles = choose_quantiles([count_scores(scores[:-1])], "pooled")
        assert quantiles is not None
        low, high = scales[-1].interval(*quantiles)
        covered += low <= truths[-1] <= high
    margin = 4 * math.sqrt(0.9 * 0.1 / trials)
    assert 0.9 - margin <= covered / trials <= 0.97


@given(st.lists(volumes, min_size=1, max_size=6), volumes, st.floats(0, 20), st.floats(0, 20))
def test_the_interval_holds_the_ensembles_volume(
    members: list[float], volume: float, below: float, above: float
) -> None:
    scale = VolumeScale.of(volume, members)
    assert scale is not None
    low, high = scale.interval(below, above)
    assert 0 <= low <= volume * (1 + 1e-12)
    assert volume * (1 - 1e-12) <= high


@given(st.lists(st.integers(-3000, 3000), max_size=30))
def test_scores_up_to_a_step_of_the_grid_are_counted_up_to_it(hundredths: list[int]) -> None:
    counts = count_scores([each / 100 for each in hundredths])
    assert counts.sum() == len(hundredths)
    for index in (0, 7, STEPS):
        within = counts[:, : index + 1].sum()
        assert within == sum(abs(each) <= 100 * index * STEP for each in hundredths)


def test_the_median_width_is_rounded_up_to_the_grid_and_the_lower_one_of_two() -> None:
    assert median_width(count_widths([])) is None
    assert median_width(count_widths([FLOOR])) == pytest.approx(0.05)
    assert median_width(count_widths([0.30, 0.0712, 0.05])) == pytest.approx(0.08)
    assert median_width(count_widths([0.06, 0.30])) == pytest.approx(0.06)
    assert median_width(count_widths([LARGEST_SPREAD + FLOOR])) == pytest.approx(0.30)
