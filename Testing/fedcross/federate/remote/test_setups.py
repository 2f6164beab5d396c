"""Who can take part at the start of a job, and how many must."""

from collections.abc import Mapping

import pytest

from fedcross.errors import ConfigError
from fedcross.federate.remote.setups import TooFewSitesError, check_enough_setups, check_setups
from fedcross.federate.remote.site_work import describe_setup
from fedcross.training.config.configuration import TrainingConfig, config_sha256

FAILS = {"failed": "ConfigError"}


class Sites:
    """Sites with the given setups; None stands for that of the server."""

    def __init__(self, config: TrainingConfig, **setups: Mapping[str, str] | None) -> None:
        own = describe_setup(config)
        self.setups = {name: own if setup is None else setup for name, setup in setups.items()}

    def fetch_setups(self) -> Mapping[str, Mapping[str, str]]:
        return self.setups


def test_all_sites_that_can_take_part_are_enough(small: TrainingConfig) -> None:
    lines: list[str] = []
    check_enough_setups(small, Sites(small, s0=None, s1=None), 2, lines.append)
    assert lines == []


def test_a_site_that_is_not_connected_may_come_later(small: TrainingConfig) -> None:
    words = r"s1 is not connected: 1 of 2 sites can train, and the run needs 2 \(min_sites\)"
    with pytest.raises(TooFewSitesError, match=words):
        check_enough_setups(small, Sites(small, s0=None), 2, print)
    with pytest.raises(TooFewSitesError, match="s0, s1 are not connected"):
        check_enough_setups(small, Sites(small), 1, print)


def test_a_site_that_cannot_take_part_must_be_mended(small: TrainingConfig) -> None:
    sites = Sites(small, s0=None, s1=FAILS)
    with pytest.raises(ConfigError, match=r"Site s1 cannot take part: ConfigError.*1 of 2"):
        check_enough_setups(small, sites, 2, print)


def test_with_fewer_sites_than_all_the_run_begins_and_tells_who_is_missing(
    small: TrainingConfig,
) -> None:
    lines: list[str] = []
    check_enough_setups(small, Sites(small, s0=None, s1=FAILS), 1, lines.append)
    assert lines == ["Site s1 cannot take part: ConfigError; see the log at the site."]
    check_setups(small, Sites(small, s0=None, s1=FAILS), lines.append)
    check_enough_setups(small, Sites(small, s0=None), 1, lines.append)


def test_without_any_site_that_can_take_part_nothing_begins(small: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="Site s0 cannot take part"):
        check_setups(small, Sites(small, s0=FAILS), print)
    with pytest.raises(ConfigError, match="No site of the configuration"):
        check_setups(small, Sites(small), print)


def test_every_site_that_differs_is_named(small: TrainingConfig) -> None:
    other = {**describe_setup(small), "torch": "1.0"}
    with pytest.raises(ConfigError, match=r"Site s0 differs .* Site s1 differs"):
        check_enough_setups(small, Sites(small, s0=other, s1=other), 2, print)


@pytest.mark.parametrize(
    ("configured", "wanted", "needed"),
    [(None, None, 2), (1, None, 1), (9, None, 2), (None, 1, 1), (1, 2, 2), (1, 9, 2)],
)
def test_all_sites_are_needed_unless_the_configuration_or_a_person_says_otherwise(
    small: TrainingConfig, configured: int | None, wanted: int | None, needed: int
) -> None:
    engine = small.engine.model_copy(update={"min_sites": configured})
    config = small.model_copy(update={"engine": engine})
    assert config.count_needed_sites(wanted) == needed


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("approval-pending", "The approval of site s1 is pending: .* with the SHA-256 {}"),
        ("approval-rejected", "Site s1 has rejected the configuration with the SHA-256 {}"),
    ],
)
def test_a_missing_approval_is_told_with_the_configuration_that_needs_it(
    small: TrainingConfig, reason: str, sentence: str
) -> None:
    sites = Sites(small, s0=None, s1={"failed": reason})
    with pytest.raises(ConfigError, match=sentence.format(config_sha256(small))):
        check_enough_setups(small, sites, 2, print)
