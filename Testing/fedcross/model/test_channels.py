"""Bundles whose networks have several input channels."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fedcross.errors import BundleError
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import Bundle, verify_bundle, write_bundle
from fedcross.model.metadata import check_manifest
from fedcross.model.networks import build_network, initialise
from fedcross.volumes.preprocessing import Preprocessing

SIZES = {"spacing_mm": (1.0, 1.0, 2.0), "patch_size": (32, 32, 16)}
MEMBER = {"file": "models/member_0.safetensors", "sha256": "0" * 64}


def manifest(in_channels: int, **preprocessing: Any) -> dict[str, Any]:
    return {
        "name": "Prostate",
        "architecture": {"name": "unet", "in_channels": in_channels, "base_channels": 2},
        "preprocessing": {**SIZES, **preprocessing},
        "structures": [{"name": "Prostate", "label": 1}],
        "provenance": {"created": "2026-01-31"},
    }


def test_names_and_modalities_of_the_channels_are_read_again(tmp_path: Any) -> None:
    fields = manifest(2, modality="MR", channels=["CT", {"name": "PET", "modality": "PT"}])
    network = build_network(UNetArchitecture(in_channels=2, base_channels=2))
    initialise(network, torch.Generator().manual_seed(0))
    write_bundle(tmp_path / "bundle", fields, [network.state_dict()])
    steps = verify_bundle(tmp_path / "bundle").preprocessing
    assert steps.channel_names == ("CT", "PET")
    assert steps.modalities == ("MR", "PT")  # the first has that of all images
    image = json.loads((tmp_path / "bundle" / "configs" / "metadata.json").read_text())[
        "network_data_format"
    ]["inputs"]["image"]
    assert image["num_channels"] == 2
    assert image["channel_def"] == {"0": "CT", "1": "PET"}
    card = (tmp_path / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "2 co-registered 3D volumes (CT (MR), PET (PT))" in card


def test_a_bundle_without_channels_does_not_record_them(
    make_bundle: Callable[..., Bundle],
) -> None:
    bundle = make_bundle()
    assert "channels" not in bundle.manifest.model_dump(mode="json")["preprocessing"]
    assert bundle.manifest.preprocessing.channel_names == ("image",)


@pytest.mark.parametrize(
    ("in_channels", "channels", "said"),
    [
        (2, [], "the network has 2 input channels, but preprocessing names 1"),
        (1, ["T2", "ADC"], "the network has 1 input channels, but preprocessing names 2"),
        (2, ["T2", "t2"], "two channels have the same name, got T2, t2"),
        (2, ["T2", "b:800"], "preprocessing.channels.1.name"),
        (2, ["T2", {"name": "ADC", "path": "/"}], "preprocessing.channels.1.path"),
        (9, [str(index) for index in range(9)], "architecture.unet.in_channels"),
    ],
)
def test_channels_that_do_not_fit_the_network_are_refused(
    in_channels: int, channels: list[Any], said: str
) -> None:
    with pytest.raises(BundleError, match=said):
        check_manifest(manifest(in_channels, channels=channels) | {"members": [MEMBER]})


def test_more_than_eight_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 8"):
        Preprocessing.model_validate({**SIZES, "channels": [str(index) for index in range(9)]})
