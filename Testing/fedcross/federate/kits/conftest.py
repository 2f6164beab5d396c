import shutil
from pathlib import Path

import pytest

from fedcross.federate.kits.provision import init_federation
from kit_files import DUO


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kits of `DUO`; a test that changes them takes `kits`."""
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, DUO)
    return folder


@pytest.fixture
def kits(made: Path, tmp_path: Path) -> Path:
    """A copy of the kits in `made`."""
    shutil.copytree(made, tmp_path / "kits")
    return tmp_path / "kits"
