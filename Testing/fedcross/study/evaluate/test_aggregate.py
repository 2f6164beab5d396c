"""From the figures of cases to those of the evaluation, against numbers derived by hand."""

from typing import Any

import pytest

from fedcross.study.evaluate.aggregate import summarise
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.study.evaluate.figures import CaseFigures
from fedcross.study.evaluate.page import evaluation_page
from fedcross.study.evaluate.request import EvaluationOptions
from fedcross.uncertainty.probability_calibration import CalibrationCounts


class Structures:
    """What `summarise` reads of a manifest."""

    name = "<b>Bundle</b>"
    members = (None, None)

    def __init__(self) -> None:
        self.structures = [type("Structure", (), {"name": "Organ"})()]


class FakeBundle:
    """What `summarise` reads of a bundle."""

    sha256 = "0" * 64
    manifest = Structures()


def accuracy(dice: float, error_ml: float = 0.0) -> dict[str, Any]:
    return {"dice": dice, "hd95_mm": 2.0, "assd_mm": 1.0, "volume_error_ml": error_ml}


def case(
    site: str,
    dice: float,
    agreement: float,
    *,
    verdict: str = "look",
    error_ml: tuple[float, ...] = (2.0,) * 10 + (0.5,) * 11,
    **changes: Any,
) -> CaseFigures:
    """Return the figures of a case with one structure of 10 mL."""
    counts = CalibrationCounts().record()
    curve = {"dice": [dice] * 21, "error_ml": error_ml}
    voxels = {"voxels": 10, "wrong": 5, "auroc": {"std": dice}, "average_precision": {"std": 0.5}}
    structure = {
        "drawn_ml": 10.0,
        "ensemble": accuracy(dice, 1.0 if site == "a" else -3.0),
        "members": [accuracy(dice - 0.1), accuracy(dice - 0.2)],
        "first_members": [accuracy(dice)],
        "agreement": agreement,
        "predicted_dice": None,
        "verdict": verdict,
        "range_ml": (9.0, 11.0),
        "interval_ml": None,
        "band": counts,
        "volume": counts,
    }
    return CaseFigures.model_validate(
        {
            "site": site,
            "part": "test",
            "case": f"case {dice}",
            "structures": {"Organ": structure | changes},
            "band": voxels,
            "volume": voxels,
            "review": {"places": 3, "ranked": curve, "random": curve, "limit": curve},
        }
    )


def evaluation(*cases: CaseFigures) -> Evaluation:
    return summarise(FakeBundle(), cases, EvaluationOptions())  # type: ignore[arg-type]


def test_means_are_over_cases_and_members_and_errors_of_volume_with_and_without_sign() -> None:
    found = evaluation(case("a", 0.9, 0.9), case("b", 0.7, 0.8)).structures["Organ"]
    assert found.predictors["ensemble"].dice == pytest.approx(0.8)
    assert found.predictors["ensemble"].volume_error_ml == pytest.approx(-1)
    assert found.predictors["ensemble"].absolute_volume_error_ml == pytest.approx(2)
    assert found.predictors["mean of the members"].dice == pytest.approx(0.65)
    assert found.predictors["member 2"].dice == pytest.approx(0.6)
    assert found.sites["b"].cases == 1


def test_verdicts_are_counted_by_whether_the_dice_is_good() -> None:
    cases = (
        case("a", 0.9, 0.95, verdict="agree"),
        case("a", 0.79, 0.95, verdict="agree"),
        case("b", 0.8, 0.8),
    )
    found = evaluation(*cases).structures["Organ"].verdicts
    assert found == {"agree": (1, 1), "look": (1, 0), "distrust": (0, 0), "absent": (0, 0)}


def test_volumes_are_counted_in_the_range_and_in_the_interval() -> None:
    cases = (
        case("a", 0.9, 0.9, interval_ml=(9.9, 10.0)),
        case("a", 0.8, 0.9, interval_ml=(8.0, 9.9), range_ml=(10.5, 11.0)),
        case("b", 0.7, 0.9),
    )
    found = evaluation(*cases).structures["Organ"]
    assert (found.in_range.count, found.in_range.cases) == (2, 3)
    assert (found.in_interval.count, found.in_interval.cases) == (1, 2)


def test_the_ranking_is_by_agreement_and_by_predicted_dice_where_there_is_one() -> None:
    cases = [case("a", dice, 1 - dice) for dice in (0.5, 0.6, 0.9)]
    found = evaluation(*cases).structures["Organ"].rankings
    assert list(found) == ["agreement"]
    assert found["agreement"].spearman == pytest.approx(-1)
    cases = [case("a", dice, 0.5, predicted_dice=dice) for dice in (0.5, 0.6, 0.9)]
    found = evaluation(*cases).structures["Organ"].rankings
    assert found["predicted Dice"].excess_aurc == pytest.approx(0)


def test_the_share_of_the_error_is_that_of_the_first_ten_places() -> None:
    found = evaluation(case("a", 0.9, 0.9), case("b", 0.8, 0.8, error_ml=(0.4,) * 5 + (0.3,) * 16))
    assert found.review is not None
    assert found.review_large_errors is not None
    assert found.review.found_share["ranked"] == pytest.approx((0.75 + 0.25) / 2)
    assert found.review_large_errors.cases == 1
    assert found.review_large_errors.found_share["ranked"] == pytest.approx(0.75)


def test_the_page_ranks_the_scores_by_how_well_they_find_wrong_voxels() -> None:
    found = evaluation(case("a", 0.9, 0.9))
    scores = {"std": 0.2, "entropy": 0.9, "variation_ratio": 0.5}
    band = found.voxels["band"].model_copy(update={"auroc": scores, "average_precision": scores})
    page = evaluation_page(found.model_copy(update={"voxels": {**found.voxels, "band": band}}))
    rows = page[page.index("Which voxels are wrong") :]
    places = [rows.index(f">{name}</td>") for name in ("entropy", "variation_ratio", "std")]
    assert places == sorted(places)
    assert '<td class="best">0.900</td>' in rows


def test_the_page_counts_one_case_as_one() -> None:
    page = evaluation_page(evaluation(case("a", 0.9, 0.9)))
    assert "Measured on 1 case of 1 site." in page


def test_the_page_shows_the_review_of_large_errors_only_if_it_is_another_one() -> None:
    large, small = case("a", 0.9, 0.9), case("b", 0.8, 0.8, error_ml=(0.4,) * 21)
    assert "with at least 1 mL" not in evaluation_page(evaluation(large))
    assert "with at least 1 mL of wrong voxels (1)" in evaluation_page(evaluation(large, small))


def test_names_on_the_page_are_text_and_not_tags() -> None:
    page = evaluation_page(evaluation(case("<i>a</i>", 0.9, 0.9), case("b", 0.8, 0.8)))
    assert "<b>Bundle" not in page
    assert "<i>a" not in page
    assert "&lt;i&gt;a" in page
