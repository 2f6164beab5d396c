import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fake_server import FakeServer
from fedcross.cli import app
from fedcross.commands.progress_table import describe_progress
from fedcross.errors import FedCrossError
from fedcross.federate.flare import admin
from fedcross.federate.supervise.progress import Progress
from fedcross.training.config.configuration import config_values
from fedcross.training.config.file import load_config
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


VISIT = {"round": 3, "member": 0, "site": "s0", "loss": 0.25}
FAILED = {"round": 3, "member": 1, "site": "s1", "failed": "Site s1 did not answer."}
DICE = {"round": 3, "validation": {"mean": 0.5, "s0": 0.5}}


def test_the_view_of_a_run_has_the_visits_loss_and_dice_of_every_site() -> None:
    figures = [{**VISIT, "round": 2, "loss": 0.5}, VISIT, FAILED, DICE]
    progress = Progress("Running.", "Round 3/4: loss\x1b[2J", {"s0": True, "s2": False}, figures)
    assert list(describe_progress(progress)) == [
        "Running. Round 3/4: loss?[2J",
        "site  state          visits  last loss        last Dice",
        "s0    takes part     2 of 2  0.250 (round 3)  0.500 (round 3)",
        "s1    not connected  0 of 1  -                -",
        "s2    connected      0 of 0  -                -",
    ]
    assert list(describe_progress(Progress("Refused.", "Site s1 differs."))) == [
        "Refused. Site s1 differs."
    ]


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([VISIT, {**VISIT, "site": "s1"}], 0, "Visits: s0 1 of 1 (100%), s1 1 of 1 (100%)."),
        ([VISIT, FAILED], 3, "s1 took no part"),
    ],
)
def test_submit_tells_who_took_no_part_and_ends_with_another_status(
    kits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[dict[str, Any]],
    code: int,
    words: str,
) -> None:
    path = write_federation(tmp_path / "data")
    server = FakeServer()
    record = {"configuration": config_values(load_config(path))}
    server.files = {"config.json": json.dumps(record), "test.json": "{}"}
    server.files["metrics.jsonl"] = "".join(json.dumps(line) + "\n" for line in lines)
    monkeypatch.setattr(admin, "open_server_connection", lambda kit: nullcontext(server))
    done = run("federation", "submit", path, "--kit", kits / "admin", "--out", tmp_path / "run")
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "Trained" in done.output
