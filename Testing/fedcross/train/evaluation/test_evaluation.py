from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.strategies.member import MemberState, new_member
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.data.reading import read_case
from fedcross.train.data.sites import find_all_cases, load_sites
from fedcross.train.data.volumes import Site
from fedcross.train.evaluation.evaluation import dice_by_structure, evaluate_test, validate
from fedcross.volumes.structure import Structure
from tiny_federation import tiny_config


def always(config: TrainingConfig, index: int, label: int, certainty: float) -> MemberState:
    """A member that says `label` everywhere."""
    member = new_member(index, config.network, 0)
    weights = {key: torch.zeros_like(tensor) for key, tensor in member.weights.items()}
    weights["outconv.bias"][label] = certainty
    return replace(member, weights=weights)


def blob_dice_if_everything_is_blob(site: Site) -> float:
    label = site.validation[0].label
    inside = (label == 1).sum().item()
    return 2 * inside / (inside + label.numel())


def test_dice_is_told_by_structure() -> None:
    structures = [Structure(name=name, label=n) for n, name in ((1, "A"), (2, "B"), (3, "C"))]
    found = np.array([[[1, 1, 2, 0]]], np.uint8)
    truth = np.array([[[1, 0, 0, 2]]], np.uint8)
    # A: 2 * 1 / (2 + 1); B: no overlap; C: nowhere, so right.
    expected = {"A": pytest.approx(2 / 3), "B": 0.0, "C": 1.0}
    assert dice_by_structure(found, truth, structures) == expected


def test_the_mean_of_probabilities_decides_and_not_the_majority(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    doubtful = [always(config, k, 0, 0.5) for k in range(2)]
    outcome = validate([*doubtful, always(config, 2, 1, 9.0)], sites, config, cpu)
    assert outcome is not None
    expected = [blob_dice_if_everything_is_blob(site) for site in sites]
    assert outcome.by_site == {"s0": pytest.approx(expected[0]), "s1": pytest.approx(expected[1])}
    assert outcome.mean_dice == pytest.approx(sum(expected) / 2)
    outvoted = validate([*doubtful, always(config, 2, 1, 0.6)], sites, config, cpu)
    assert outvoted is not None
    assert outvoted.mean_dice == 0


def test_without_validation_cases_there_is_no_validation(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    bare = [replace(site, validation=()) for site in sites]
    assert validate([always(config, 0, 0, 1.0)], bare, config, cpu) is None
    some = validate([always(config, 0, 0, 1.0)], [sites[0], bare[1]], config, cpu)
    assert some is not None
    assert list(some.by_site) == ["s0"]


def test_test_figures_tell_ensemble_and_members_by_site_and_case(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    members = [always(config, 0, 0, 5.0), always(config, 1, 1, 1.0)]
    figures = evaluate_test(members, sites, config, cpu)
    assert list(figures["sites"]) == ["s0", "s1"]
    for site, told in zip(sites, figures["sites"].values(), strict=True):
        assert told["ensemble"] == {"Blob": 0.0}
        assert told["members"][0] == {"Blob": 0.0}
        assert 0 < told["members"][1]["Blob"] < 0.5
        assert list(told["cases"]) == [site.test[0].name]
        distances = told["cases"][site.test[0].name]["surface"]
        # Nothing found where a blob is: the diagonal of 36 x 20 x 18 voxels of 2 x 2 x 2.5 mm.
        diagonal = pytest.approx((72**2 + 40**2 + 45**2) ** 0.5)
        assert distances["ensemble"]["Blob"] == {"hd95_mm": diagonal, "assd_mm": diagonal}
        assert 0 < distances["members"][1]["Blob"]["assd_mm"] < 72
    means = [told["members"][1]["Blob"] for told in figures["sites"].values()]
    assert figures["mean"] == {"ensemble": 0.0, "members": [0.0, pytest.approx(sum(means) / 2)]}


def test_wrong_voxels_are_counted_by_the_spread_of_the_members(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    # Everywhere the members say 1 / (1 + e) and e^5 / (1 + e^5) of background: half their
    # difference, 0.36, is the spread, in the bin from 0.35; every voxel of the blob is missed.
    members = [always(config, 0, 0, 5.0), always(config, 1, 1, 1.0)]
    figures = evaluate_test(members, sites[:1], config, cpu)
    counts = figures["sites"]["s0"]["reliability"]
    _, truth = read_case(sites[0].test[0], sites[0].label_map, "s0")
    expected = np.zeros((2, 10), int)
    expected[:, 7] = truth.size, np.count_nonzero(truth)
    assert [counts["voxels"], counts["wrong"]] == expected.tolist()
    alone = evaluate_test(members[:1], sites[:1], config, cpu)
    assert alone["sites"]["s0"]["reliability"] is None


def test_a_structure_that_nobody_drew_is_not_judged(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    second = Structure(name="Unknown", label=2)
    both = config.model_copy(
        update={
            "structures": (*config.structures, second),
            "network": config.network.model_copy(update={"classes": 3}),
        }
    )
    here, there = sites
    blind = replace(
        here, missing=(2,), validation=tuple(replace(v, missing=(2,)) for v in here.validation)
    )
    finds = always(both, 0, 2, 5.0)  # it finds the second structure everywhere
    outcome = validate([finds], [blind, there], both, cpu)
    assert outcome is not None
    # Of the first site only the blob counts, missed: 0; of the other one both, 0 and 0.
    assert outcome.by_site == {"s0": 0.0, "s1": 0.0}
    figures = evaluate_test([finds, finds], [blind, there], both, cpu)
    assert list(figures["sites"]["s0"]["ensemble"]) == ["Blob"]
    assert list(figures["sites"]["s1"]["ensemble"]) == ["Blob", "Unknown"]
    wrong = {name: sum(site["reliability"]["wrong"]) for name, site in figures["sites"].items()}
    _, truth = read_case(here.test[0], here.label_map, "s0")
    assert wrong["s0"] == np.count_nonzero(truth)  # what it found elsewhere may well be there
    assert wrong["s1"] == truth.size


def test_without_test_cases_the_figures_are_empty(tmp_path: Path, cpu: torch.device) -> None:
    config = tiny_config(tmp_path, sites=1, cases=1, split=(1, 0, 0))
    sites = load_sites(config, find_all_cases(config))
    figures = evaluate_test([always(config, 0, 0, 1.0)], sites, config, cpu)
    assert figures == {"mean": None, "sites": {}}
