from typing import Any

import pytest

from fedcross.federate.remote.evaluation import may_have_cases, validate_remotely
from fedcross.federate.remote.site_work import TEST, VALIDATE
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import SiteConfig
from small_federation import first_members


def site(**split: Any) -> SiteConfig:
    return SiteConfig(name="s", images="i", labels="l", **split)


@pytest.mark.parametrize(
    ("split", "validates", "tests"),
    [
        ((4, 1, 2), True, True),
        ((4, 0, 2), False, True),
        ((4, 1, 0), True, False),
        ({"train": ["a"], "validation": ["b"]}, True, False),
        ({"train": ["a"], "test": ["b"]}, False, True),
    ],
)
def test_the_split_decides_whether_a_site_validates_and_tests(
    split: Any, validates: bool, tests: bool
) -> None:
    assert may_have_cases(site(split=split), VALIDATE) is validates
    assert may_have_cases(site(split=split), TEST) is tests


def test_a_site_with_a_list_file_may_have_any_cases() -> None:
    assert may_have_cases(SiteConfig(name="s", list="cases.csv"), VALIDATE)


def test_members_are_sent_only_to_sites_with_validation_cases(small: TrainingConfig) -> None:
    first, second = small.sites
    without = first.model_copy(update={"split": (1, 0, 0)})
    config = small.model_copy(update={"sites": (without, second)})
    asked: list[str] = []

    def ask(site: str, task: str, members: Any, round_index: int) -> dict[str, Any]:
        asked.append(site)
        return {"dice": 0.5, "cases": 1}

    found = validate_remotely(first_members(small), config, ask, lambda message: None)
    assert asked == ["s1"]
    assert found is not None
    assert found.by_site == {"s1": 0.5}
