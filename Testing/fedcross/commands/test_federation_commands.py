from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fedcross.cli import app
from fedcross.errors import FedCrossError
from tiny_federation import write_federation


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "kits"
    made = run("federation", "init", folder, "--sites", "s0, s1", "--port", "1")
    assert made.exit_code == 0, made.output
    assert "sites/s0" in made.output
    return folder


def test_a_kit_of_the_wrong_kind_is_refused(kits: Path, tmp_path: Path) -> None:
    config = write_federation(tmp_path / "data")
    done = run("federation", "submit", config, "--kit", kits / "server", "--out", tmp_path / "run")
    assert isinstance(done.exception, FedCrossError)
    assert "needs the kit of the coordinator" in str(done.exception)
    assert not (tmp_path / "run").exists()
    started = run("federation", "start", kits / "admin")
    assert "needs the kit of the server or a hospital" in str(started.exception)


def test_a_hospital_without_its_data_folder_does_not_start(kits: Path) -> None:
    done = run("federation", "start", kits / "sites" / "s0")
    assert "folder data does not exist, got /path/to/the/data" in str(done.exception)


@pytest.mark.parametrize("command", ["status", "abort"])
def test_a_folder_without_a_run_is_refused(kits: Path, tmp_path: Path, command: str) -> None:
    done = run("federation", command, tmp_path, "--kit", kits / "admin")
    assert "holds no federated run" in str(done.exception)


def test_fetch_makes_no_bundle_from_a_folder_without_a_run(kits: Path, tmp_path: Path) -> None:
    done = run("federation", "fetch", tmp_path, tmp_path / "bundle", "--kit", kits / "admin")
    assert "holds no federated run" in str(done.exception)
    assert not (tmp_path / "bundle").exists()


def test_without_nvidia_flare_the_error_names_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for words in (("federation", "status", "x", "--kit", "y"), ("site", "check", "x")):
        assert "fedcross[federate]" in str(run(*words).exception)
