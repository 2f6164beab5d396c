"""What `fedcross segment` prints of a result."""

from typing import Any

import pytest

from fedcross.commands.result import aligned, result_lines
from fedcross.infer.results.summary import HotSpotSummary, StructureSummary, Summary

KIDNEY: dict[str, Any] = {
    "name": "Left kidney",
    "label": 1,
    "volume_ml": 152.34,
    "member_volumes_ml": (150.0, 160.0),
    "mean_ml": 155.0,
    "min_ml": 150.0,
    "median_ml": 155.0,
    "max_ml": 160.0,
    "coefficient_of_variation": 0.03,
    "mean_pairwise_dice": 0.95,
    "verdict": "agree",
}
TUMOR = {
    **KIDNEY,
    "name": "Tumor\x1b[31m, [red]solid[/red]",
    "volume_ml": 1.234,
    "min_ml": 0.0,
    "max_ml": 2.0,
    "mean_pairwise_dice": 0.42,
    "verdict": "distrust",
}
CALIBRATED = {
    **KIDNEY,
    "interval_ml": (140.0, 170.26),
    "interval_coverage": 0.9,
    "predicted_dice": 0.91,
    "predicted_dice_error": 0.03,
    "verdict_basis": "predicted_dice",
}
WIDE = {**CALIBRATED, "interval_ml": (12.0, 6554.0)}
ABSENT = {
    **KIDNEY,
    "volume_ml": 0.0,
    "min_ml": 0.0,
    "max_ml": 0.0,
    "mean_pairwise_dice": None,
    "verdict": "absent",
}


def spots(count: int) -> list[HotSpotSummary]:
    return [
        HotSpotSummary(
            rank=rank,
            centroid_voxel=(1.0, 2.0, 3.0),
            centroid_mm=(-10.0 * rank, 2.25, 300.0),
            volume_ml=0.5,
            voxels=20,
            peak=0.5,
            mean=0.4,
            structure="Left kidney" if rank == 1 else None,
        )
        for rank in range(1, count + 1)
    ]


def lines(*structures: dict[str, Any], places: int = 0, members: int = 2) -> list[str]:
    summary = Summary.model_construct(
        bundle=type("Identity", (), {"members": members}),
        structures=tuple(StructureSummary(**each) for each in structures),
        hot_spots=tuple(spots(places)),
    )
    return result_lines(summary)


def test_each_structure_has_its_volume_verdict_and_basis_in_aligned_columns() -> None:
    kidney, tumor, _ = lines(KIDNEY, TUMOR)
    assert kidney == (
        "Left kidney                   152.3 mL (members: 150.0 to 160.0 mL)  "
        "members agree  agreement 0.95"
    )
    assert tumor == (
        "Tumor?[31m, [red]solid[/red]  1.23 mL (members: 0.00 to 2.00 mL)     "
        "do not trust   agreement 0.42"
    )


def test_a_calibrated_structure_has_its_interval_and_the_expected_dice() -> None:
    assert lines(CALIBRATED)[0] == (
        "Left kidney  152.3 mL (90 %: 140.0 to 170.3)  likely good  expected Dice 0.91 \u00b1 0.03"
    )


def test_an_interval_that_is_too_wide_to_be_useful_says_so() -> None:
    assert "152.3 mL (90 %: 12.0 to 6554.0, too wide to be useful)  likely" in lines(WIDE)[0]
    fourfold = {**CALIBRATED, "interval_ml": (50.0, 200.0)}
    assert "too wide" not in lines(fourfold)[0]
    from_nothing = {**CALIBRATED, "interval_ml": (0.0, 200.0)}
    assert "too wide" in lines(from_nothing)[0]


def test_a_structure_that_was_not_found_has_no_basis() -> None:
    assert lines(ABSENT)[0] == "Left kidney  0.00 mL (members: 0.00 to 0.00 mL)  not found"
    assert lines(ABSENT, members=1)[0] == "Left kidney  0.00 mL  not found"


def test_the_first_three_places_are_named_with_their_position() -> None:
    assert lines(KIDNEY, places=5)[1:] == [
        "Look here first (LPS, mm):",
        "  1.  (-10.0, 2.2, 300.0)  0.50 mL  Left kidney",
        "  2.  (-20.0, 2.2, 300.0)  0.50 mL",
        "  3.  (-30.0, 2.2, 300.0)  0.50 mL",
        "  2 more are in summary.json.",
    ]
    assert lines(KIDNEY, places=4)[-1] == "  1 more is in summary.json."
    assert len(lines(KIDNEY, places=3)) == 5


def test_without_a_hot_spot_that_is_said() -> None:
    assert lines(KIDNEY)[1:] == ["There is no hot spot: the members agree everywhere."]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "b"), ("ccc", "d")], ["a    b", "ccc  d"]),
        ([("\u809d", "x"), ("ab", "y")], ["\u809d  x", "ab  y"]),
        ([], []),
    ],
)
def test_columns_are_aligned_also_with_wide_characters(rows: Any, expected: list[str]) -> None:
    assert aligned(rows) == expected
