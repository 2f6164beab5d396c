import math

import numpy as np
import pytest

from fedcross.uncertainty.measures import MEASURES, Measure, upper_bound
from fedcross.uncertainty.statistics import EnsembleStatistics

LN2 = math.log(2)


@pytest.mark.parametrize(
    ("measure", "classes", "members", "bound"),
    [
        ("std", 2, 4, 0.5),
        ("std", 2, 3, math.sqrt(2) / 3),  # two against one
        ("std", 3, 3, math.sqrt(1 / 3)),
        ("entropy", 3, 2, math.log(3)),
        ("mutual_information", 3, 2, LN2),
        ("mutual_information", 2, 3, math.log(3) - 2 / 3 * LN2),  # two against one
        ("variation_ratio", 2, 4, 0.5),
        ("variation_ratio", 2, 3, 1 / 3),
        ("variation_ratio", 3, 3, 2 / 3),
        ("std", 3, 4, math.sqrt(5 / 16)),  # two, one, one
        ("variation_ratio", 3, 4, 1 / 2),
    ],
)
def test_the_upper_bound_is_reached_by_the_most_even_vote(
    measure: Measure, classes: int, members: int, bound: float
) -> None:
    assert upper_bound(measure, classes, members) == pytest.approx(bound)
    if measure != "entropy":
        votes = np.eye(classes, dtype=np.float32)[np.arange(members) % classes]
        statistics = EnsembleStatistics((classes,))
        for vote in votes:
            statistics.update(vote)
        assert statistics.measure(measure) == pytest.approx(bound, abs=1e-6)


def test_one_member_gets_the_upper_bound_of_two() -> None:
    for measure in MEASURES:
        assert upper_bound(measure, 2, 1) == upper_bound(measure, 2, 2) > 0


@pytest.mark.parametrize(("classes", "members"), [(1, 2), (2, 0)])
def test_too_few_classes_or_members_raise_value_error(classes: int, members: int) -> None:
    with pytest.raises(ValueError, match=f"got {classes} and {members}"):
        upper_bound("std", classes, members)
