"""Figures for a plan, asked of sites in other processes."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedcross.errors import ConfigError
from fedcross.federate.remote.figures import gather_remotely
from fedcross.federate.remote.site_work import FIGURES
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.figures import FederationFigures, combine_sites
from fedcross.training.planning.gather import gather_figures
from remote_sites import InProcessSites
from tiny_federation import tiny_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=3)


def gather(config: TrainingConfig, **sites: Any) -> tuple[FederationFigures, list[str]]:
    lines: list[str] = []
    connections = InProcessSites(config, **{"share": ("data",), **sites})
    return gather_remotely(config, connections, lines.append), lines


def test_the_combined_figures_are_those_of_the_same_cases_on_one_machine(
    config: TrainingConfig,
) -> None:
    figures, lines = gather(config)
    assert figures == combine_sites(gather_figures(config))
    assert lines == []


def test_a_site_that_fails_is_left_out_and_named(config: TrainingConfig) -> None:
    figures, lines = gather(config, fails=lambda site, task, index: site == "s1")
    assert figures.left_out == ("s1",)
    assert figures.train == (1, 1)
    assert lines == ["Site s1 did not answer for 60 s. The plan is without this site."]


def test_a_site_sends_figures_only_if_it_shares_them(config: TrainingConfig) -> None:
    sites = InProcessSites(config)  # shares loss, validation and cases
    assert sites("s0", FIGURES, [], 0) == {"figures": None}
    with pytest.raises(ConfigError, match="No site sent figures of its data"):
        gather(config, share=("loss", "validation", "cases"))


def test_what_a_site_sends_names_no_case_and_no_path(config: TrainingConfig) -> None:
    answer = InProcessSites(config, share=("data",))("s0", FIGURES, [], 0)
    text = answer["figures"]
    assert "case-" not in text
    assert Path(config.data_root).name not in text
    sent = json.loads(text)
    assert sent.keys() == {"train", "cases"}
    assert sent["cases"][0].keys() == {
        "size",
        "spacing_mm",
        "nonzero_box",
        "padding",
        "foreground",
    }


@pytest.mark.parametrize("answer", ["{}", "[", 7, '{"train": 1, "cases": [], "scan": "AAAA"}'])
def test_figures_of_another_form_are_not_used(config: TrainingConfig, answer: object) -> None:
    def change(site: str, task: str, index: int, given: dict[str, Any]) -> dict[str, Any]:
        return {"figures": answer} if site == "s2" else given

    figures, lines = gather(config, changes=change)
    assert figures.left_out == ("s2",)
    assert lines == ["Site s2 sent figures of another form; the plan is without it."]


def test_a_site_with_another_configuration_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="Site s1 differs from the server in fedcross"):
        gather(config, others={"s1": {"fedcross": "0.0"}})
