import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from fedcross.errors import BundleError, OutputError
from fedcross.model.bundle import (
    Bundle,
    open_bundle,
    verify_bundle,
    write_bundle,
)
from fedcross.model.networks import build_network


def edit_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle.path / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    change(content["fedcross"])
    path.write_text(json.dumps(content))


def test_what_is_written_is_read_back_bit_for_bit(bundle: Bundle) -> None:
    with open_bundle(bundle.path) as opened:
        assert opened.manifest == bundle.manifest
        assert opened.sha256 == bundle.sha256
        assert opened.manifest.members[1].last_site == "south"
        written = safetensors.torch.load_file(bundle.path / "models" / "member_1.safetensors")
        for name, tensor in opened.member_tensors(1).items():
            assert torch.equal(tensor, written[name])


def test_a_loaded_member_computes_with_its_weights(bundle: Bundle) -> None:
    network = build_network(bundle.manifest.architecture).eval()
    network.load_state_dict(bundle.member_tensors(0))
    x = torch.randn(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    loaded = bundle.load_member(0)
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))


def test_bundles_have_the_same_hash_if_and_only_if_members_and_manifest_are_equal(
    tmp_path: Path, bundle: Bundle
) -> None:
    members = [bundle.member_tensors(0), bundle.member_tensors(1)]
    base = bundle.manifest.model_dump(mode="json", exclude={"members"})
    visits = [("north", 3), ("south", 3)]
    assert write_bundle(tmp_path / "b", base, members, visited=visits).sha256 == bundle.sha256
    assert write_bundle(tmp_path / "c", base, members[::-1], visited=visits).sha256 != bundle.sha256


def test_a_wrong_hash_is_refused(bundle: Bundle) -> None:
    edit_manifest(bundle, lambda m: m["members"][0].update(sha256="0" * 64))
    with pytest.raises(BundleError, match="was changed"):
        verify_bundle(bundle.path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["architecture"].update(name="os.system"), "architecture"),
        (lambda m: m["architecture"].update(base_channels=10**9), "base_channels"),
        (lambda m: m["architecture"].update(surprise=1), "surprise"),
        (lambda m: m["members"][0].update(file="../../secret"), "file"),
        (lambda m: m["members"][1].update(file="models/member_0.safetensors"), "same file"),
        (lambda m: m.update(format_version=2), "format_version"),
        (lambda m: m["preprocessing"].update(spacing_mm=[0, 1, 1]), "spacing_mm"),
        (lambda m: m["preprocessing"].update(patch_size=[30, 32, 16]), "multiples of 16"),
        (lambda m: m["structures"][0].update(name="a/b"), "name"),
        (lambda m: m["structures"][0].update(label=2), "labels 1, 2, 3"),
        (lambda m: m["structures"].append({"name": "B", "label": 2}), "classes"),
        (lambda m: m.update(members=[]), "members"),
    ],
)
def test_an_invalid_manifest_is_refused_with_the_name_of_the_field(
    bundle: Bundle, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=reason) as caught:
        open_bundle(bundle.path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["preprocessing"].update(intensity="learned"),
        lambda m: m["architecture"].update(name="newnet"),
        lambda m: m.update(format_version=2),
        lambda m: m.update(surprise=1),
    ],
)
def test_what_only_a_newer_version_can_have_written_is_refused_with_this_hint(
    bundle: Bundle, change: Callable[[dict[str, Any]], None]
) -> None:
    edit_manifest(bundle, change)
    with pytest.raises(BundleError, match=r"If a newer version of fedcross made it, install"):
        open_bundle(bundle.path)


def test_a_bundle_keeps_its_normalisation_and_names_it_on_the_card(
    make_bundle: Callable[..., Bundle],
) -> None:
    settings = {
        "spacing_mm": (1.0, 1.0, 2.0),
        "patch_size": (32, 32, 16),
        "intensity": "ct",
        "window": (-160.0, 240.0),
        "mean": 40.5,
        "std": 20.0,
    }
    made = make_bundle(preprocessing=settings)
    with open_bundle(made.path) as opened:
        assert opened.manifest.preprocessing.window == (-160.0, 240.0)
        assert opened.sha256 == made.sha256
    card = (made.path / "docs" / "README.md").read_text(encoding="utf-8")
    assert "clipped to -160 to 240 HU, minus 40.5, divided by 20" in card


def test_a_monai_bundle_without_an_ensemble_is_refused(bundle: Bundle) -> None:
    path = bundle.path / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    del content["fedcross"]
    path.write_text(json.dumps(content))
    with pytest.raises(BundleError, match="without a FedCross ensemble"):
        open_bundle(bundle.path)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_metadata_that_is_not_json_is_refused(bundle: Bundle, text: str) -> None:
    (bundle.path / "configs" / "metadata.json").write_text(text)
    with pytest.raises(BundleError, match="JSON"):
        open_bundle(bundle.path)


def test_an_existing_bundle_is_replaced_but_nothing_else_is(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    make_bundle(name="first")
    assert make_bundle(name="second").manifest.name == "second"
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("notes")
    with pytest.raises(OutputError, match="not a bundle"):
        write_bundle(other, {}, [])
    assert (other / "notes.txt").read_text() == "notes"


def test_a_bundle_that_cannot_be_written_leaves_no_files(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="overlap"):
        make_bundle(
            preprocessing={"spacing_mm": (1, 1, 1), "patch_size": (16, 16, 16), "overlap": 2}
        )
    assert list(tmp_path.iterdir()) == []


def test_the_model_card_names_structures_sites_and_limits(bundle: Bundle) -> None:
    card = (bundle.path / "docs" / "README.md").read_text()
    assert "Organ A" in card
    assert "| 1 | south | 3 |" in card
    assert "not a medical device" in card
    assert (bundle.path / "LICENSE").read_text()


def test_a_bundle_with_foreign_files_in_it_is_not_replaced(
    bundle: Bundle, make_bundle: Callable[..., Bundle]
) -> None:
    (bundle.path / "images").mkdir()
    with pytest.raises(OutputError, match="also holds images"):
        make_bundle()
    verify_bundle(bundle.path)
    assert len(bundle.manifest.members) == 2


@pytest.mark.parametrize("schedule", [[[0, 1]], [[5]]])
def test_a_schedule_that_does_not_fit_members_and_sites_is_refused(
    make_bundle: Callable[..., Bundle], schedule: list[list[int]]
) -> None:
    with pytest.raises(BundleError, match="every row of schedule"):
        make_bundle(sites=["north"], schedule=schedule)
