"""A run begins from the members of a bundle."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import BundleError, CheckpointError, ConfigError
from fedcross.federate.local.engine import run_local
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.strategies.registry import make_method
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.config.file import load_config, resolve_paths
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.start import check_start, first_members
from tiny_federation import write_federation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation of three sites, and the bundle of a run of two members at two of them."""
    folder = tmp_path_factory.mktemp("start")
    config = load_config(write_federation(folder, rounds=1))
    run_local(config, folder / "first", device="cpu")
    export_run(folder / "first", folder / "bundle")
    return folder


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return open_bundle(folder / "bundle")


def begun(folder: Path, start: str = "", *, sites: int = 2, **method: Any) -> TrainingConfig:
    """The configuration of a run that begins from the bundle."""
    section = f'[start]\nbundle = "bundle"\n{start}'
    return load_config(
        write_federation(folder, sites=sites, extra=section, **{"rounds": 1, **method})
    )


def changed(config: TrainingConfig, **values: Any) -> TrainingConfig:
    return config.model_copy(update=values)


def test_every_member_begins_from_its_own_of_the_bundle(folder: Path, bundle: Bundle) -> None:
    members = first_members(begun(folder))
    for index, member in enumerate(members):
        tensors = bundle.member_tensors(index)
        assert member.index == index
        assert member.weights.keys() == tensors.keys()
        assert all(torch.equal(member.weights[name], tensors[name]) for name in tensors)
        entry = bundle.manifest.members[index]
        assert (member.rounds_done, member.last_site) == (entry.rounds, entry.last_site)
        assert not member.optimizer


@pytest.mark.parametrize(
    ("start", "method", "chosen"),
    [
        ("members = [1]", {}, [1, 1]),
        ("members = [1, 0]", {}, [1, 0]),
        ("members = [1]", {"kind": "fedcross"}, [1]),
        ("members = [0]", {"kind": "fedavg"}, [0]),
        ("", {"kind": "local"}, [0, 1]),
        ("members = [0, 1, 0]", {"sites": 3}, [0, 1, 0]),
        ("members = [1]", {"rounds": 2, "shared_rounds": 1}, [1]),
    ],
)
def test_the_members_to_begin_from_can_be_chosen(
    folder: Path, bundle: Bundle, start: str, method: dict[str, Any], chosen: list[int]
) -> None:
    members = first_members(begun(folder, start, **method))
    name = "outconv.weight"
    expected = [bundle.member_tensors(index)[name] for index in chosen]
    found = [member.weights[name] for member in members]
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_a_run_begins_from_a_zip_and_records_what_it_began_from(
    folder: Path, bundle: Bundle, tmp_path: Path
) -> None:
    shutil.make_archive(str(tmp_path / "bundle"), "zip", folder / "bundle")
    config = load_config(
        write_federation(tmp_path, rounds=1, extra='[start]\nbundle = "bundle.zip"')
    )
    run_local(config, tmp_path / "run", device="cpu")
    recorded = RunFolder(tmp_path / "run").read("config.json")["configuration"]
    assert recorded["start"] == {"sha256": bundle.sha256, "members": []}
    manifest = export_run(tmp_path / "run", tmp_path / "out").manifest
    assert bundle.sha256 in manifest.provenance.source
    assert [member.rounds for member in manifest.members] == [2, 2]


def test_the_bundle_and_not_its_path_is_part_of_the_identity(folder: Path, bundle: Bundle) -> None:
    config = begun(folder)
    plain = load_config(write_federation(folder, rounds=1))
    assert "start" not in config_values(plain)
    assert config_sha256(config) != config_sha256(plain)
    moved = load_config(write_federation(folder, rounds=1), start=folder / "bundle")
    assert config_sha256(moved) == config_sha256(config)
    written = begun(folder, f'sha256 = "{bundle.sha256}"')
    assert config_sha256(written) == config_sha256(config)
    record = parse_config(config_values(config), source="record", is_record=True)
    assert config_sha256(record) == config_sha256(config)


def test_a_finished_round_is_resumed_without_the_bundle(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    run_local(begun(tmp_path), tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "bundle")
    longer = begun(tmp_path, rounds=2)
    assert longer.start.sha256 is None
    run_local(longer, tmp_path / "run", resume=True, device="cpu")
    run = RunFolder(tmp_path / "run")
    assert run.checkpoints.rounds() == [1, 2]
    assert run.configuration().start.sha256 is not None
    with pytest.raises(BundleError, match="no bundle at"):
        run_local(longer, tmp_path / "other", device="cpu")


def test_a_run_is_not_resumed_from_another_bundle(
    folder: Path, tmp_path: Path, bundle: Bundle
) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    run_local(begun(tmp_path), tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "bundle")
    export_run(tmp_path / "run", tmp_path / "bundle")
    with pytest.raises(CheckpointError, match=rf"start.sha256 \(was '{bundle.sha256}', is '"):
        run_local(begun(tmp_path), tmp_path / "run", resume=True, device="cpu")


def test_a_bundle_that_does_not_fit_is_refused_in_one_sentence(
    folder: Path, tmp_path: Path
) -> None:
    config = begun(folder)
    wider = config.network.model_copy(update={"base_channels": 4})
    with pytest.raises(
        ConfigError, match=r"has the network unet \(.*base_channels = 2.*base_channels = 4"
    ):
        run_local(changed(config, network=wider), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    other = (config.structures[0].model_copy(update={"name": "Liver"}),)
    with pytest.raises(ConfigError, match="the structures blob, the configuration liver"):
        check_start(changed(config, structures=other))
    with pytest.raises(ConfigError, match="has 2 members, but fedcross begins with 1"):
        check_start(begun(folder, kind="fedcross"))
    with pytest.raises(ConfigError, match="names 3 members, but fedcross-ens begins with 2"):
        check_start(begun(folder, "members = [0, 1, 1]"))
    with pytest.raises(ConfigError, match="member 2, but the bundle has 2 members, 0 to 1"):
        check_start(begun(folder, "members = [0, 2]"))
    with pytest.raises(ConfigError, match=f"start.sha256 is {'0' * 64}, but the bundle"):
        begun(folder, f'sha256 = "{"0" * 64}"')
    with pytest.raises(ConfigError, match=r"start\.bundle is missing"):
        check_start(changed(config, start=config.start.model_copy(update={"bundle": None})))


def test_a_bundle_that_was_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    config = begun(tmp_path)
    file = tmp_path / "bundle" / "models" / "member_1.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=r"member_1\.safetensors was changed"):
        first_members(config)


def test_a_configuration_without_start_has_new_members(folder: Path) -> None:
    config = resolve_paths(begun(folder), folder)
    plain = load_config(write_federation(folder, rounds=1))
    drawn = first_members(plain)
    expected = make_method("fedcross-ens").first_members(plain.network, 2, plain.seed)
    assert all(
        torch.equal(one.weights["outconv.weight"], other.weights["outconv.weight"])
        for one, other in zip(drawn, expected, strict=True)
    )
    assert config.start.bundle == folder / "bundle"
