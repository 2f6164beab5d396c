from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.model.networks import build_network, initialise

ARCHITECTURE = UNetArchitecture(base_channels=2, norm="batch")


def fields(**changes: Any) -> dict[str, Any]:
    """Return the fields of a small valid manifest without members."""
    return {
        "name": "Test organ",
        "architecture": ARCHITECTURE.model_dump(),
        "preprocessing": {"spacing_mm": (1.0, 1.0, 2.0), "patch_size": (32, 32, 16)},
        "structures": [{"name": "Organ A", "label": 1}],
        "sites": ["north", "south"],
        "provenance": {"created": "2026-01-31", "validation": {"dice": 0.9}},
        **changes,
    }


def member(seed: int) -> dict[str, torch.Tensor]:
    network = build_network(ARCHITECTURE)
    initialise(network, torch.Generator().manual_seed(seed))
    return network.state_dict()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(
        tmp_path / "bundle", fields(), [member(0), member(1)], visited=[("north", 3), ("south", 3)]
    )


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    def make(**changes: Any) -> Bundle:
        return write_bundle(tmp_path / "bundle", fields(**changes), [member(0)])

    return make
