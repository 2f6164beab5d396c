"""A proposal completes what is open and keeps what is given."""

from typing import Any

import pytest

from fedcross.errors import ConfigError
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.planning.figures import FederationFigures, Intensities
from fedcross.training.planning.proposal import Budget, Proposal
from fedcross.training.planning.propose import propose

REST = {
    "name": "Any",
    "structures": [{"name": "Organ", "label": 1}],
    "sites": [
        {"name": f"s{index}", "images": "i", "labels": "l", "split": [4, 1, 1]}
        for index in range(4)
    ],
}


def figures(
    size: tuple[int, int, int] = (320, 320, 24),
    spacing_mm: tuple[float, float, float] = (0.6, 0.6, 3.0),
    extent_mm: tuple[float, float, float] = (50.0, 40.0, 40.0),
    nonzero_box: float = 1.0,
) -> FederationFigures:
    """Four sites of four training cases, all alike; like prostate MR by default."""
    return FederationFigures(
        cases=20,
        train=(4, 4, 4, 4),
        spacing_mm=spacing_mm,
        fine_spacing_mm=spacing_mm,
        sides_mm=tuple(n * step for n, step in zip(size, spacing_mm, strict=True)),
        nonzero_box=nonzero_box,
        extent_mm=extent_mm,
        foreground=Intensities(low=0.0, high=100.0, mean=50.0, std=20.0),
    )


def plan(
    found: FederationFigures | None = None,
    memory_gb: float = 0.6,
    steps: int | None = None,
    rounds: int | None = None,
    **given: dict[str, Any],
) -> Proposal:
    return propose(given, found or figures(), Budget(memory_gb, steps, rounds), 2)


def configuration(proposal: Proposal) -> TrainingConfig:
    return parse_config(REST | proposal.sections, source="plan")


def test_a_plan_for_a_cpu_takes_a_coarser_grid_and_a_narrow_network() -> None:
    proposal = plan()
    config = configuration(proposal)
    x, y, z = config.preprocessing.spacing_mm
    assert x == y > 0.6
    assert z == 3.0
    assert proposal.sections["network"]["base_channels"] == 8
    assert config.training.batch_size == 2
    assert "0.6 x 0.6 x 3 (median of 20 cases" in proposal.reasons["preprocessing", "spacing_mm"]


def test_a_plan_for_a_gpu_keeps_the_median_spacing_and_takes_a_wide_network() -> None:
    config = configuration(plan(memory_gb=24))
    assert config.preprocessing.spacing_mm == (0.6, 0.6, 3.0)
    assert config.preprocessing.patch_size == (320, 320, 16)
    assert config.network.model_dump()["base_channels"] == 32


def test_every_proposed_value_has_a_reason_in_one_line() -> None:
    proposal = plan()
    for section, options in proposal.sections.items():
        for key in options:
            reason = proposal.reasons[section, key]
            assert reason
            assert "\n" not in reason


def test_what_is_given_is_kept_and_the_others_follow_from_it() -> None:
    given = {
        "method": {"kind": "fedavg", "rounds": 10},
        "network": {"name": "segresnet", "init_filters": 16, "blocks_down": [1, 1, 1]},
        "preprocessing": {
            "spacing_mm": [1.0, 1.0, 3.0],
            "modality": "MR",
            "intensity": "percentile",
        },
        "training": {"batch_size": 3, "optimizer": "adamw"},
    }
    proposal = plan(steps=4_800, **given)
    for section, options in given.items():
        assert proposal.sections[section] == proposal.sections[section] | options
    assert proposal.sections["network"] == given["network"]
    assert not {"learning_rate", "momentum", "percentiles"} & {
        key for options in proposal.sections.values() for key in options
    }
    # 4,800 steps at 4 sites in 10 rounds are visits of 120 steps; 4 cases x 4 patches / 3 are 6 steps.
    assert proposal.sections["method"]["local_epochs"] == 20
    assert all(side % 4 == 0 for side in configuration(proposal).preprocessing.patch_size)


def test_ct_without_a_window_gets_that_of_the_labelled_voxels() -> None:
    for given in ({"intensity": "ct"}, {"modality": "CT"}):
        settings = configuration(plan(preprocessing=given)).preprocessing
        assert (settings.intensity, settings.window) == ("ct", (0.0, 100.0))
    kept = plan(preprocessing={"intensity": "ct", "window": [-5.0, 5.0]})
    assert configuration(kept).preprocessing.window == (-5.0, 5.0)


def test_several_channels_get_no_window_of_ct() -> None:
    given = {"modality": "CT", "channels": ["early", "late"]}
    assert plan(preprocessing=given).sections["preprocessing"]["intensity"] == "zscore"


def test_ct_with_another_normalisation_given_keeps_it() -> None:
    settings = configuration(plan(preprocessing={"modality": "CT", "intensity": "zscore"}))
    assert settings.preprocessing.intensity == "zscore"


@pytest.mark.parametrize("memory_gb", [0.2, 0.6, 3.0, 24.0])
@pytest.mark.parametrize(
    "found",
    [
        figures((256, 256, 10), (1.4, 1.4, 10.0)),
        figures((12, 14, 10), (3.0, 3.0, 3.0)),
        figures((35, 50, 36), (1.0, 1.0, 1.0)),
        figures((512, 512, 300), (0.8, 0.8, 2.0)),
        figures((20, 320, 320), (4.0, 0.7, 0.7)),
        figures((240, 240, 155), (1.0, 1.0, 1.0), nonzero_box=0.5),
    ],
)
def test_a_plan_is_a_valid_configuration(found: FederationFigures, memory_gb: float) -> None:
    configuration(plan(found, memory_gb))


def test_few_slices_get_a_network_that_does_not_halve_them() -> None:
    config = configuration(plan(figures((256, 256, 10), (1.4, 1.4, 10.0)), 24.0))
    assert config.network.name == "dynunet"
    assert config.preprocessing.patch_size[2] == 10


@pytest.mark.parametrize(
    ("steps", "kind", "note"),
    [
        (1_536, "fedcross", "FedCross, one member, suits them"),
        (6_144, "fedcross-ens", "FedCrossEns suits them"),
        (3_000, "fedcross-ens", "FedCrossEns with a shared part suits them"),
    ],
)
def test_the_method_follows_the_steps(steps: int, kind: str, note: str) -> None:
    proposal = plan(steps=steps)
    assert proposal.sections["method"]["kind"] == kind
    assert note in proposal.notes[0]
    configuration(proposal)


def test_a_shared_part_is_proposed_with_its_rounds() -> None:
    # 3,000 steps: 1,000 shared and 500 for each copy, two thirds of 96 rounds.
    method = plan(steps=3_000, rounds=96).sections["method"]
    assert method["shared_rounds"] == 64
    assert "shared_rounds" not in plan(steps=6_144).sections["method"]


def test_given_rounds_are_kept_and_visits_become_longer() -> None:
    method = plan(rounds=32, steps=6_144).sections["method"]
    # 1,536 steps of each member in 32 visits are 48; an epoch of 4 x 4 / 2 patches has 8.
    assert (method["rounds"], method["local_epochs"]) == (32, 6)


def test_visits_of_about_12_steps_with_sgd_get_a_proximal_term() -> None:
    # Four members share 6,144 steps: 1,536 steps in 128 visits are 12 each.
    assert plan(rounds=128, steps=6_144).sections["method"]["mu"] == 1.0
    assert "mu" not in plan(steps=6_144).sections["method"]  # 4 steps
    assert "mu" not in plan(rounds=32, steps=6_144).sections["method"]  # 48 steps
    given = plan(rounds=128, steps=6_144, method={"kind": "fedcross-ens", "mu": 0.0})
    assert given.sections["method"]["mu"] == 0.0
    adamw = plan(rounds=128, steps=6_144, training={"optimizer": "adamw"})
    assert "mu" not in adamw.sections["method"]
    slow = plan(rounds=128, steps=6_144, training={"learning_rate": 0.001})
    assert "mu" not in slow.sections["method"]
    fedavg = plan(rounds=128, steps=6_144, method={"kind": "fedavg"})
    assert "mu" not in fedavg.sections["method"]


def test_a_method_that_pools_the_cases_makes_all_steps_in_one_visit() -> None:
    method = plan(steps=1_600, rounds=10, method={"kind": "centralised"}).sections["method"]
    # 160 steps a visit; an epoch of 16 x 4 / 2 patches has 32.
    assert method["local_epochs"] == 5


def test_given_rounds_and_epochs_fix_the_steps() -> None:
    given = {"rounds": 10, "local_epochs": 2}
    proposal = plan(method=given)
    # 10 rounds of 2 epochs of 4 cases x 4 patches / 2.
    assert proposal.notes == [
        "Rounds and epochs are given: a model makes 160 steps, "
        "fewer than the about 1,000 that it needs.",
        "Give more rounds. Or leave kind, rounds and local_epochs out: the plan then proposes them.",
    ]
    # A visit has 16 steps.
    assert proposal.sections["method"] == given | {"kind": "fedcross-ens", "mu": 1.0}
    # 70 rounds of 16 steps are 1,120.
    enough = plan(method=given | {"rounds": 70})
    assert enough.notes == ["Rounds and epochs are given: a model makes 1,120 steps."]


@pytest.mark.parametrize(
    ("given", "budget", "message"),
    [
        ({"rounds": 3}, {"rounds": 4}, "rounds is given, 3, and rounds = 4 as well"),
        ({"rounds": 3, "local_epochs": 1}, {"steps": 9}, "fix the number of steps, and steps = 9"),
    ],
)
def test_a_budget_that_is_given_twice_is_refused(given, budget, message) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(method=given, **budget)


def test_single_slices_999_mm_thick_are_refused_with_the_cause() -> None:
    with pytest.raises(
        ConfigError, match=r"median voxel of the cases has 1 x 1 x 999 mm; at most 100 mm"
    ):
        plan(figures(size=(64, 48, 1), spacing_mm=(1.0, 1.0, 999.0), extent_mm=(30.0, 30.0, 999.0)))
