from pathlib import Path

import pytest
import torch

from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.volumes import Site
from small_federation import one_thread
from tiny_federation import tiny_config

__all__ = ["one_thread"]  # a fixture


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return tiny_config(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="session")
def sites(config: TrainingConfig) -> list[Site]:
    return load_sites(config, find_all_cases(config))


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return tmp_path / "run"
