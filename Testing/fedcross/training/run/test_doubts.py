"""Signs that a run will disappoint."""

from typing import Any

import pytest

from fedcross.training.run.doubts import (
    doubt_bundle,
    doubt_choice,
    doubt_patch,
    doubt_spacing,
    doubt_structures,
    doubt_validations,
)


def test_a_patch_that_no_volume_can_fill_is_worth_a_look() -> None:
    sizes = [(96, 96, 20), (128, 80, 24)]
    said = doubt_patch(sizes, (96, 96, 32))
    assert said is not None
    assert "32 voxels along z, but no volume has more than 24" in said
    assert doubt_patch(sizes, (96, 96, 24)) is None
    assert doubt_patch([], (96, 96, 24)) is None


@pytest.mark.parametrize(
    ("spacings", "chosen", "is_doubtful"),
    [
        ([(0.6, 0.6, 3.0), (0.5, 0.5, 3.3)], (3.0, 0.6, 0.6), True),
        ([(0.6, 0.6, 3.0), (0.5, 0.5, 3.3)], (0.6, 0.6, 3.0), False),
        ([(0.6, 0.6, 3.0), (3.3, 0.5, 0.5)], (3.0, 0.6, 0.6), False),
        ([(1.0, 1.0, 1.0)], (3.0, 0.6, 0.6), False),
        ([(0.6, 0.6, 3.0)], (1.0, 1.0, 1.0), False),
        ([], (3.0, 0.6, 0.6), False),
    ],
)
def test_a_spacing_in_another_order_than_the_data_is_worth_a_look(
    spacings: Any, chosen: Any, is_doubtful: bool
) -> None:
    said = doubt_spacing(spacings, chosen)
    assert (said is not None) == is_doubtful
    if said is not None:
        assert "largest along x, but the slices of every volume are thick along z" in said


@pytest.mark.parametrize(
    ("keep", "cases", "is_doubtful"),
    [
        ("best", 1, True),
        ("best", 32, True),
        ("best", 33, False),
        ("best", 0, False),
        ("last", 4, False),
    ],
)
def test_few_validation_cases_that_choose_the_round_are_worth_a_look(
    keep: str, cases: int, is_doubtful: bool
) -> None:
    said = doubt_choice(keep, cases)
    assert (said is not None) == is_doubtful
    if said is not None:
        assert f"{cases} validation case" in said


def validations(*means: float) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number, mean in enumerate(means, start=1):
        lines += [{"round": number, "loss": 1.0}, {"round": number, "validation": {"mean": mean}}]
    return lines


@pytest.mark.parametrize(
    ("means", "is_doubtful"),
    [
        ((0, 0, 0, 0, 0), True),
        ((0.4, 0, 0, 0, 0, 0), True),
        ((0, 0, 0, 0), False),
        ((0, 0, 0, 0, 0, 0), False),  # it was said at the fifth
        ((0, 0, 0, 0, 0.1), False),
        ((), False),
    ],
)
def test_five_validations_without_overlap_are_said_once(means: Any, is_doubtful: bool) -> None:
    assert (doubt_validations(validations(*means)) is not None) == is_doubtful


def test_a_bundle_with_a_low_test_dice_is_worth_a_look() -> None:
    said = doubt_bundle(0.07)
    assert said is not None
    assert "is 0.07" in said
    assert doubt_bundle(0.8) is None
    assert doubt_bundle(None) is None


def test_structures_that_no_training_case_has_are_named() -> None:
    said = doubt_structures(["Rim", "Core"])
    assert said is not None
    assert said.startswith("No training case has a labelled voxel of Rim, Core, so")
    assert doubt_structures([]) is None
