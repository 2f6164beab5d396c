"""Fixtures with two small sites in memory, for tests that train or compare."""

from collections.abc import Iterator

import pytest
import torch

from fedcross.federate.local.engine import FederationData
from fedcross.strategies.method import Members
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.data.splits import SiteCases
from fedcross.training.data.volumes import Site, Volume


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small() -> TrainingConfig:
    """Configuration of two sites; a volume is about one patch, only the last round is validated."""
    return parse_config(
        {
            "name": "Small",
            "method": {"rounds": 3, "local_epochs": 1},
            "network": {"name": "unet", "base_channels": 2, "norm": "batch"},
            "preprocessing": {"spacing_mm": [2, 2, 2], "patch_size": [32, 16, 16]},
            "structures": [{"name": "Blob", "label": 1}],
            "training": {
                "batch_size": 2,
                "patches_per_case": 2,
                "momentum": 0.9,
                "validate_every": 3,
            },
            "augmentation": {"preset": "paper"},
            "sites": [
                {"name": name, "images": "i", "labels": "l", "split": [1, 1, 0]}
                for name in ("s0", "s1")
            ],
        },
        source="small",
    )


def bright_box(name: str, seed: int, contrast: float) -> Volume:
    """Make a case, (16, 16, 32), with a labelled box that is brighter by `contrast` than the noise."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.zeros(16, 16, 32, dtype=torch.uint8)
    z, y, x = torch.randint(1, 6, (3,), generator=generator).tolist()
    label[z : z + 9, y : y + 8, x : x + 16] = 1
    image = torch.randn(label.shape, generator=generator) + contrast * label
    return Volume(name, image[None], label)


@pytest.fixture(scope="session")
def small_data() -> FederationData:
    """Data in memory: two training cases at the first site, one at the second."""
    sites = [
        Site(
            f"s{index}",
            tuple(bright_box(f"t{case}", 10 * index + case, 3.0 - index) for case in range(cases)),
            (bright_box("v", 10 * index + 9, 3.0 - index),),
        )
        for index, cases in enumerate((2, 1))
    ]
    return FederationData([SiteCases((), (), ()) for _ in sites], sites)


def first_members(config: TrainingConfig) -> Members:
    """The members of a run before its first round."""
    return config.method.first_members(config.network, len(config.sites), config.seed)
