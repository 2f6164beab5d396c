from pathlib import Path
from typing import Any

import pytest

from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.participation import (
    SiteVisits,
    count_visits,
    describe_missing,
    describe_visits,
    list_trained,
)
from small_federation import small

__all__ = ["small"]  # a fixture


def visit(number: int, site: str, **more: Any) -> dict[str, Any]:
    return {"round": number, "member": 0, "site": site, **more}


LINES = [
    visit(1, "s0", loss=0.5),
    visit(1, "s1", failed="Site s1 did not answer."),
    {"round": 1, "validation": {"mean": 0.5}},
    visit(2, "s0", loss=None),  # trained, but the loss is not shared
    visit(2, "s1", absent=True),
    visit(2, "s1", failed="Site s1 did not answer.", makes_up=1),
    visit(3, "s0", failed="Site s0 did not answer."),
    visit(3, "s1", loss=0.4),
    visit(3, "s1", loss=0.4, makes_up=1),
]


def test_a_visit_counts_where_it_was_due_and_where_it_took_place() -> None:
    assert count_visits(LINES, ["s1", "s0", "s2"]) == [
        SiteVisits("s1", due=3, made=2),
        SiteVisits("s0", due=3, made=2),
        SiteVisits("s2", due=0, made=0),
    ]


def test_the_share_of_every_site_is_told() -> None:
    visits = [SiteVisits("s0", 4, 3), SiteVisits("s1", 3, 0), SiteVisits("s2", 0, 0)]
    assert describe_visits(visits) == "Visits: s0 3 of 4 (75%), s1 0 of 3 (0%), s2 0 of 0."
    assert describe_missing(visits) == "s1, s2 took no part: no member was trained there."
    assert describe_missing(visits[:1]) is None


@pytest.mark.parametrize(
    ("rounds_done", "trained"), [(1, ["s0"]), (2, ["s0"]), (3, ["s0", "s1"]), (0, ["s0", "s1"])]
)
def test_a_site_trained_if_a_visit_took_place_until_the_round_that_is_exported(
    tmp_path: Path, small: TrainingConfig, rounds_done: int, trained: list[str]
) -> None:
    run = RunFolder(tmp_path)
    for line in LINES:
        run.add_metrics(**line)
    assert list_trained(run, small, rounds_done) == trained
