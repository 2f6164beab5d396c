from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from fedcross.errors import PluginError
from fedcross.model.architecture import Architecture, CustomArchitecture, require_network
from fedcross.model.custom_network import build_custom_network, check_outputs, draw_custom_network
from fedcross.model.networks import EnsembleNetwork, build_network
from fedcross.runtime.plugins import allow_plugins
from fedcross.strategies.member import new_member
from installed_packages import example, nothing_allowed, write_package

__all__ = ["example", "nothing_allowed"]  # fixtures

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, classes, fault=""):
        super().__init__()
        self.fault = fault
        self.conv = nn.Conv3d(in_channels, classes + (fault == "classes"), 1)
        if fault == "dtype":
            self.conv.double()
        if fault == "buffer":
            self.register_buffer("hidden", torch.ones(1), persistent=False)
        if fault == "raises":
            raise ValueError("No.")
        if fault == "tensor":
            self.offset = torch.ones(1)

    def forward(self, x):
        x = self.conv(x)
        if self.fault == "list":
            return [x]
        if self.fault == "training" and self.training:
            return x[:, :, ::2]
        if self.fault == "infinite":
            return x / 0
        return x + self.offset if self.fault == "tensor" else x

def no_module(in_channels, classes):
    return 7

def no_parameters(in_channels, classes):
    return nn.Identity()
"""
ENTRIES = {
    "fedcross.networks": {
        "net": "odd_networks:Net",
        "no-module": "odd_networks:no_module",
        "no-parameters": "odd_networks:no_parameters",
    }
}
Make = Callable[..., CustomArchitecture]


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that makes the architecture of a network that does not work."""
    write_package(tmp_path, "odd_networks", SOURCE, ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    allow_plugins("odd_networks")

    def make(entry: str = "net", **arguments: Any) -> CustomArchitecture:
        return architecture("odd_networks", entry, downsampling=[1, 1, 1], arguments=arguments)

    return make


def architecture(
    package: str, entry: str, arguments: dict[str, Any] | None = None, **fields: Any
) -> CustomArchitecture:
    plugin = {"package": package, "entry": entry, "arguments": arguments or {}}
    return CustomArchitecture.model_validate({"plugin": plugin, **fields})


def test_a_network_of_a_package_maps_a_patch_to_the_logits_of_its_classes(example: str) -> None:
    allow_plugins(example)
    network = build_network(architecture(example, "two-level", classes=3, downsampling=[2, 2, 2]))
    assert network(torch.zeros(1, 1, 4, 6, 8)).shape == (1, 3, 4, 6, 8)


def test_the_seed_decides_the_weights_and_the_global_generator_stays_as_it_was(
    example: str,
) -> None:
    allow_plugins(example)
    wanted = architecture(example, "two-level", downsampling=[2, 2, 2])
    before = torch.random.get_rng_state()
    one, same, other = (new_member(index, wanted, 5).weights for index in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["last.weight"], other["last.weight"])


@pytest.mark.parametrize(
    ("entry", "fault", "message"),
    [
        ("no-module", None, "must be a torch.nn.Module, got int"),
        ("no-parameters", None, "has no parameters to train"),
        ("net", "dtype", "has conv.weight of torch.float64; only float32 and int64"),
        ("net", "buffer", "has the buffer hidden with persistent=False"),
        ("net", "raises", "failed with ValueError: No."),
        ("net", "list", "must return one tensor, got list"),
        ("net", "classes", r"to float32 \(1, 2, 2, 1, 1\), got torch.float32 \(1, 3, 2, 1, 1\)"),
        ("net", "training", r"got torch.float32 \(1, 2, 1, 1, 1\)"),
        ("net", "infinite", "returns numbers that are not finite"),
        ("net", "tensor", "failed with "),
    ],
)
def test_a_network_that_cannot_be_a_member_is_one_sentence(
    odd: Make, entry: str, fault: str | None, message: str
) -> None:
    wanted = odd(entry, **({} if fault is None else {"fault": fault}))
    with pytest.raises(PluginError, match=rf"The network '{entry}' of .* {message}"):
        draw_custom_network(wanted, 0)


def test_a_network_without_a_fault_passes_all_checks(odd: Make) -> None:
    check_outputs(draw_custom_network(odd(), 0), odd())
    with torch.device("meta"):
        assert build_custom_network(odd()).conv.weight.is_meta


def test_monais_ensemble_builds_the_network_only_if_it_is_allowed(example: str) -> None:
    record = architecture(example, "two-level", downsampling=[2, 2, 2]).model_dump(mode="json")
    with pytest.raises(PluginError, match="not allowed"):
        EnsembleNetwork(record, 2)
    allow_plugins(example)
    assert EnsembleNetwork(record, 2)(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 2, 4, 4, 4)


def test_the_check_without_import_concerns_only_networks_of_packages(example: str) -> None:
    require_network(TypeAdapter(Architecture).validate_python({"name": "unet"}))
    with pytest.raises(PluginError, match="not allowed"):
        require_network(architecture(example, "two-level"))


@pytest.mark.parametrize(
    "fields",
    [{"downsampling": [3, 1, 1]}, {"downsampling": [128, 1, 1]}, {"norm": "layer"}],
    ids=str,
)
def test_the_description_of_a_network_is_bounded(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        architecture("a-package", "net", **fields)


def test_the_downsampling_decides_the_sizes_of_patches() -> None:
    described = architecture("a-package", "net", downsampling=[4, 4, 1])
    assert described.reduction == (4, 4, 1)
    assert described.divides((16, 8, 5))
    assert not described.divides((16, 6, 5))
    assert described.lowest_voxels((16, 8, 5)) == 4 * 2 * 5
