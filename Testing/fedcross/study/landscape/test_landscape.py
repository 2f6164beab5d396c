import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.local.engine import FederationData, run_local
from fedcross.model.networks import build_network
from fedcross.strategies.averaging import weighted_mean
from fedcross.study.landscape.landscape import LandscapeRequest, landscape
from fedcross.study.landscape.probe import Probe, cut_tiles
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.volumes import Volume
from fedcross.training.step.losses import dice_ce_loss
from fedcross.training.step.visit import visit
from small_federation import first_members
from tiny_federation import write_federation

CPU = torch.device("cpu")


def volume(*shape: int) -> Volume:
    generator = torch.Generator().manual_seed(3)
    label = (torch.rand(shape, generator=generator) > 0.5).to(torch.uint8)
    return Volume("v", torch.randn((1, *shape), generator=generator), label)


def test_patches_cover_a_volume_and_pad_a_smaller_one() -> None:
    images, labels = cut_tiles(volume(10, 4, 8), (4, 4, 16), CPU)
    assert images.shape == (3, 1, 4, 4, 16)  # 10 slices: 0-4, 3-7 and 6-10
    assert labels.shape == (3, 4, 4, 16)
    source = volume(10, 4, 8)
    assert torch.equal(images[0, 0, :, :, 4:12], source.image[0, :4])
    assert torch.equal(labels[2, :, :, 4:12], source.label[6:].long())
    assert not images[:, :, :, :, :4].any()
    assert not labels[:, :, :, 12:].any()


def test_the_probe_computes_the_training_loss(
    small: TrainingConfig, small_data: FederationData
) -> None:
    (member, *_) = first_members(small)
    found = Probe(small, small_data.sites, "train", 9, CPU, reestimate=False).losses(member.weights)
    network = build_network(small.network)
    network.load_state_dict(dict(member.weights))
    network.eval()
    for site in small_data.sites:
        losses = [
            dice_ce_loss(network(v.image[None]), v.label[None].long()).item()
            for v in site.train  # each is one patch
        ]
        assert found[site.name] == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_at_most_the_requested_number_of_cases_is_used(
    small: TrainingConfig, small_data: FederationData
) -> None:
    (member, *_) = first_members(small)
    one = Probe(small, small_data.sites, "train", 1, CPU, reestimate=False).losses(member.weights)
    alone = [replace(site, train=site.train[:1]) for site in small_data.sites]
    assert one == Probe(small, alone, "train", 9, CPU, reestimate=False).losses(member.weights)


def test_recomputed_statistics_do_not_depend_on_those_before(
    small: TrainingConfig, small_data: FederationData
) -> None:
    (member, *_) = first_members(small)
    trained, _ = visit(member, small_data.sites[0], 0, small, CPU)
    spoilt = {
        name: tensor * 50 + 3 if "running" in name else tensor
        for name, tensor in trained.weights.items()
    }
    repeated = Probe(small, small_data.sites, "validation", 4, CPU)
    kept = Probe(small, small_data.sites, "validation", 4, CPU, reestimate=False)
    assert repeated.losses(spoilt) == repeated.losses(trained.weights)
    assert kept.losses(spoilt) != kept.losses(trained.weights)
    assert repeated.has_statistics


def test_the_statistics_are_means_over_the_training_volumes(
    small: TrainingConfig, small_data: FederationData
) -> None:
    (member, *_) = first_members(small)
    probe = Probe(small, small_data.sites, "validation", 4, CPU)
    probe.losses(member.weights)
    # The first convolution's outputs, whose channel means the first layer must have averaged.
    first = build_network(small.network)
    first.load_state_dict(dict(member.weights))
    convolution = first.enc1.conv.conv[0]
    volumes = [v for site in small_data.sites for v in site.train]
    with torch.no_grad():
        means = [convolution(v.image[None]).mean((0, 2, 3, 4)) for v in volumes]
    found = probe._network.state_dict()["enc1.conv.conv.1.running_mean"]
    assert torch.allclose(found, torch.stack(means).mean(0), atol=1e-5)


def test_a_negative_variance_of_a_combination_gives_a_finite_loss(
    small: TrainingConfig, small_data: FederationData
) -> None:
    (member, *_) = first_members(small)
    negative = {
        name: -tensor if name.endswith("running_var") else tensor
        for name, tensor in member.weights.items()
    }
    kept = Probe(small, small_data.sites, "validation", 4, CPU, reestimate=False)
    assert all(loss == loss for loss in kept.losses(negative).values())  # not NaN


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_federation(
        tmp_path_factory.mktemp("federation"), sites=3, cases=2, split=(1, 1, 0), rounds=1
    )


@pytest.fixture(scope="module")
def run(federation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    run_local(load_config(federation), out, device="cpu")
    return out


@pytest.fixture(scope="module")
def numbers(federation: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("landscape") / "out"
    request = LandscapeRequest(run, out, federation.parent, points=3)
    return out, landscape(request, device="cpu")


def test_the_landscape_names_its_models_and_their_losses_by_site(numbers: Any) -> None:
    out, record = numbers
    assert json.loads((out / "landscape.json").read_text(encoding="utf-8")) == record
    assert list(record["models"]) == [
        "local, s0",
        "local, s1",
        "local, s2",
        "cross-trained 1",
        "cross-trained 2",
        "cross-trained 3",
        "average of the local models",
        "start",
    ]
    for model in record["models"].values():
        loss = dict(model["loss"])
        mean = loss.pop("mean")
        assert list(loss) == ["s0", "s1", "s2"]
        assert mean == pytest.approx(sum(loss.values()) / 3)
    assert record["batch_norm"] == "the network keeps no running statistics"
    with (out / "landscape.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["model", "mean", "s0", "s1", "s2", "from_average", "off_plane"]
    assert len(rows) == 9


def test_the_average_of_three_lies_in_their_plane_and_the_cross_trained_do_not(
    numbers: Any,
) -> None:
    _, record = numbers
    models = record["models"]
    assert models["average of the local models"]["off"] < 1e-4
    assert models["average of the local models"]["from_average"] == 0
    for name in ("local, s0", "local, s1", "local, s2"):
        assert models[name]["off"] < 1e-4
        assert models[name]["from_average"] > 0
    assert models["cross-trained 1"]["off"] > 1e-4


def test_lines_end_at_their_models_and_the_plane_contains_all_nearest_points(numbers: Any) -> None:
    _, record = numbers
    models = record["models"]
    assert [(line["from"], line["to"]) for line in record["lines"]][-1] == (
        "average of the local models",
        "cross-trained 1",
    )
    for line in record["lines"]:
        for place, end in ((0, "from"), (-1, "to")):
            found = {site: losses[place] for site, losses in line["loss"].items()}
            assert found == pytest.approx(models[line[end]]["loss"], rel=1e-4)
        means = line["loss"]["mean"]
        assert line["barrier"] == pytest.approx(max(0, means[1] - (means[0] + means[2]) / 2))
    plane = record["plane"]
    for axis in ("x", "y"):
        places = [model[axis] for model in models.values()]
        assert plane[axis][0] < min(places) <= max(places) < plane[axis][-1]
    assert [len(row) for row in plane["loss"]["s1"]] == [3, 3, 3]


def test_the_local_models_and_the_average_are_those_of_federated_averaging(
    federation: Path, run: Path, tmp_path: Path
) -> None:
    # From scratch, one cycle of three rounds at one's own site each.
    request = LandscapeRequest(run, tmp_path, federation.parent, start="untrained", points=3)
    record = landscape(request, device="cpu")
    config = load_config(federation)
    sites = load_sites(config, find_all_cases(config))
    method = config.method.model_copy(update={"kind": "local", "rounds": 3})
    config = config.model_copy(update={"method": method})
    start = first_members(config)[0]
    trained = []
    for index, site in enumerate(sites):
        member = replace(start, index=index)
        for round_index in range(3):
            member, _ = visit(member, site, round_index, config, CPU)
        trained.append(member.weights)
    probe = Probe(config, sites, "validation", 4, CPU)
    mean = weighted_mean((1, weights) for weights in trained)
    for name, weights in (("local, s1", trained[1]), ("average of the local models", mean)):
        found = record["models"][name]["loss"]
        assert {site: found[site] for site in ("s0", "s1", "s2")} == probe.losses(weights)


def test_the_figure_is_one_svg(numbers: Any) -> None:
    out, _ = numbers
    text = (out / "landscape.svg").read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "loss over all sites" in text
    assert "cross-trained 1: " in text


def test_a_wrong_request_is_refused_with_its_reason(
    federation: Path, run: Path, tmp_path: Path
) -> None:
    request = LandscapeRequest(run, tmp_path / "out", federation.parent)
    for change, message in (
        ({"points": 2}, "points must be at least 3, got 2"),
        ({"cycles": 0}, "cycles must be at least 1, got 0"),
        ({"part": "test"}, "part must be validation or train, got 'test'"),
        ({"start": "first"}, "start must be best or last or untrained, got 'first'"),
    ):
        with pytest.raises(ConfigError, match=message):
            landscape(replace(request, **change), device="cpu")
    with pytest.raises(CheckpointError, match="holds no run"):
        landscape(replace(request, run=tmp_path), device="cpu")
    assert not (tmp_path / "out").exists()


def test_cases_that_differ_from_those_of_the_run_are_refused(run: Path, tmp_path: Path) -> None:
    write_federation(tmp_path / "other", sites=3, cases=3, split=(1, 1, 0))
    request = LandscapeRequest(run, tmp_path / "out", tmp_path / "other", points=3)
    with pytest.raises(CheckpointError, match="cases of s0"):
        landscape(request, device="cpu")


def test_a_run_without_cases_is_not_changed(federation: Path, run: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    shutil.copy(run / "config.json", begun)
    request = LandscapeRequest(begun, tmp_path / "out", federation.parent, start="untrained")
    with pytest.raises(CheckpointError, match=r"begun has no splits\.json"):
        landscape(request, device="cpu")
    assert [path.name for path in begun.iterdir()] == ["config.json"]


def test_one_site_has_no_landscape(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=1, cases=1, split=(1, 0, 0), rounds=1)
    run_local(load_config(path), tmp_path / "run", device="cpu")
    with pytest.raises(ConfigError, match="needs two sites"):
        landscape(LandscapeRequest(tmp_path / "run", tmp_path / "out", tmp_path), device="cpu")


def test_without_validation_cases_the_training_cases_can_be_measured(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=2, cases=1, split=(1, 0, 0), rounds=1)
    run_local(load_config(path), tmp_path / "run", device="cpu")
    request = LandscapeRequest(tmp_path / "run", tmp_path / "out", tmp_path, points=3)
    with pytest.raises(ConfigError, match=r"no site has cases in validation.*--part train"):
        landscape(request, device="cpu")
    record = landscape(replace(request, part="train"), device="cpu")
    assert record["plane"]["corners"] == ["local, s0", "local, s1", "cross-trained 1"]
