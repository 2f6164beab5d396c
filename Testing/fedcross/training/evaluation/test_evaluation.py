from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.strategies.member import MemberState, new_member
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.reading import read_case
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.volumes import Site
from fedcross.training.evaluation.prediction import dice_by_structure
from fedcross.training.evaluation.testing import evaluate_test
from fedcross.training.evaluation.validation import validate
from fedcross.volumes.structure import Structure
from tiny_federation import tiny_config


def constant_member(
    config: TrainingConfig, index: int, label: int, certainty: float
) -> MemberState:
    """A member that predicts `label` in all voxels; `certainty` is its logit, all others are 0."""
    member = new_member(index, config.network, 0)
    weights = {key: torch.zeros_like(tensor) for key, tensor in member.weights.items()}
    weights["outconv.bias"][label] = certainty
    return replace(member, weights=weights)


def dice_if_all_voxels_are_blob(site: Site) -> float:
    label = site.validation[0].label
    inside = (label == 1).sum().item()
    return 2 * inside / (inside + label.numel())


def test_dice_is_computed_by_structure() -> None:
    structures = [Structure(name=name, label=n) for n, name in ((1, "A"), (2, "B"), (3, "C"))]
    found = np.array([[[1, 1, 2, 0]]], np.uint8)
    truth = np.array([[[1, 0, 0, 2]]], np.uint8)
    # A: 2 * 1 / (2 + 1); B: no overlap; C: in neither label map.
    expected = {"A": pytest.approx(2 / 3), "B": 0.0, "C": 1.0}
    assert dice_by_structure(found, truth, structures) == expected


def test_the_prediction_is_the_mean_probability_and_not_a_majority_vote(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    doubtful = [constant_member(config, k, 0, 0.5) for k in range(2)]
    outcome = validate([*doubtful, constant_member(config, 2, 1, 9.0)], sites, config, cpu)
    assert outcome is not None
    expected = [dice_if_all_voxels_are_blob(site) for site in sites]
    assert outcome.by_site == {"s0": pytest.approx(expected[0]), "s1": pytest.approx(expected[1])}
    assert outcome.mean_dice == pytest.approx(sum(expected) / 2)
    outvoted = validate([*doubtful, constant_member(config, 2, 1, 0.6)], sites, config, cpu)
    assert outvoted is not None
    assert outvoted.mean_dice == 0


def test_weights_that_have_exploded_end_in_a_sentence_about_the_training(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    exploded = constant_member(config, 0, 1, float("inf"))
    with pytest.raises(ConfigError, match="The training has diverged"):
        validate([exploded], sites, config, cpu)


def test_without_validation_cases_validate_returns_none(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    bare = [replace(site, validation=()) for site in sites]
    assert validate([constant_member(config, 0, 0, 1.0)], bare, config, cpu) is None
    some = validate([constant_member(config, 0, 0, 1.0)], [sites[0], bare[1]], config, cpu)
    assert some is not None
    assert list(some.by_site) == ["s0"]


def test_the_test_figures_contain_ensemble_and_members_by_site_and_case(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    members = [constant_member(config, 0, 0, 5.0), constant_member(config, 1, 1, 1.0)]
    figures = evaluate_test(members, sites, config, cpu)
    assert list(figures["sites"]) == ["s0", "s1"]
    for site, by_site in zip(sites, figures["sites"].values(), strict=True):
        assert by_site["ensemble"] == {"Blob": 0.0}
        assert by_site["members"][0] == {"Blob": 0.0}
        assert 0 < by_site["members"][1]["Blob"] < 0.5
        assert list(by_site["cases"]) == [site.test[0].name]
        distances = by_site["cases"][site.test[0].name]["surface"]
        # The prediction is empty: the diagonal of 36 x 20 x 18 voxels of 2 x 2 x 2.5 mm.
        diagonal = pytest.approx((72**2 + 40**2 + 45**2) ** 0.5)
        assert distances["ensemble"]["Blob"] == {"hd95_mm": diagonal, "assd_mm": diagonal}
        assert 0 < distances["members"][1]["Blob"]["assd_mm"] < 72
    means = [by_site["members"][1]["Blob"] for by_site in figures["sites"].values()]
    assert figures["mean"] == {"ensemble": 0.0, "members": [0.0, pytest.approx(sum(means) / 2)]}


def test_wrong_voxels_are_counted_by_the_members_standard_deviation(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    # The members' probabilities of background are 1 / (1 + e) and e^5 / (1 + e^5) in all voxels. The
    # standard deviation is half their difference, 0.36, in the bin from 0.35 on. Every voxel of the
    # blob is wrong.
    members = [constant_member(config, 0, 0, 5.0), constant_member(config, 1, 1, 1.0)]
    figures = evaluate_test(members, sites[:1], config, cpu)
    counts = figures["sites"]["s0"]["reliability"]
    _, truth = read_case(sites[0].test[0], sites[0].label_map, "s0")
    expected = np.zeros((2, 10), int)
    expected[:, 7] = truth.size, np.count_nonzero(truth)
    assert [counts["voxels"], counts["wrong"]] == expected.tolist()
    alone = evaluate_test(members[:1], sites[:1], config, cpu)
    assert alone["sites"]["s0"]["reliability"] is None


def test_a_structure_that_was_not_drawn_is_not_evaluated(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    second = Structure(name="Unknown", label=2)
    both = config.model_copy(
        update={
            "structures": (*config.structures, second),
            "network": config.network.model_copy(update={"classes": 3}),
        }
    )
    first, other = sites
    undrawn = replace(
        first, missing=(2,), validation=tuple(replace(v, missing=(2,)) for v in first.validation)
    )
    member = constant_member(both, 0, 2, 5.0)  # it predicts the second structure in all voxels
    outcome = validate([member], [undrawn, other], both, cpu)
    assert outcome is not None
    # The first site has the Dice of the blob, 0; the other one the mean of both structures, 0 and 0.
    assert outcome.by_site == {"s0": 0.0, "s1": 0.0}
    figures = evaluate_test([member, member], [undrawn, other], both, cpu)
    assert list(figures["sites"]["s0"]["ensemble"]) == ["Blob"]
    assert list(figures["sites"]["s1"]["ensemble"]) == ["Blob", "Unknown"]
    wrong = {name: sum(site["reliability"]["wrong"]) for name, site in figures["sites"].items()}
    _, truth = read_case(first.test[0], first.label_map, "s0")
    assert wrong["s0"] == np.count_nonzero(truth)  # in the background the structure may be right
    assert wrong["s1"] == truth.size


def test_without_test_cases_the_figures_are_empty(tmp_path: Path, cpu: torch.device) -> None:
    config = tiny_config(tmp_path, sites=1, cases=1, split=(1, 0, 0))
    sites = load_sites(config, find_all_cases(config))
    figures = evaluate_test([constant_member(config, 0, 0, 1.0)], sites, config, cpu)
    assert figures == {"mean": None, "sites": {}}
