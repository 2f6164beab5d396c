"""Jobs, and NVIDIA FLARE's simulator with real processes for the server and the sites."""

import json
from pathlib import Path

import pytest
import torch

from fedcross.errors import CheckpointError, ConfigError
from fedcross.federate.calibrating import calibrate_federation
from fedcross.federate.engines import run_training
from fedcross.federate.flare.bundle_job import build_calibration_job, build_profile_job
from fedcross.federate.flare.job import build_job, read_job
from fedcross.federate.planning import gather_by_engine
from fedcross.federate.profiling import profile_federation
from fedcross.federate.remote.bundle_job import CalibrationJob, ProfileJob
from fedcross.model.bundle import verify_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.config.file import load_config
from fedcross.training.planning.figures import combine_sites
from fedcross.training.planning.gather import gather_figures
from fedcross.training.run.export import export_run
from fedcross.training.run.start import first_members
from tiny_federation import tiny_config, write_federation

SIMULATED = '[engine]\nkind = "flare-simulator"'


class LogLines(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    write_federation(folder, sites=3, rounds=2, extra=SIMULATED)
    return folder


@pytest.fixture(scope="module")
def config(federation: Path) -> TrainingConfig:
    return load_config(federation / "config.toml")


def test_the_simulator_and_the_local_engine_write_the_same_members(
    federation: Path, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    log = LogLines()
    local = config.model_copy(update={"engine": config.engine.model_copy(update={"kind": "local"})})
    run_training(local, federation / "local", device="cpu")
    run_training(config, federation / "flare", device="cpu", reporter=log)
    for number in (1, 2):
        for member in range(3):
            path = f"checkpoints/round_{number:04d}/member_{member}.safetensors"
            one, other = ((federation / run / path).read_bytes() for run in ("local", "flare"))
            assert one == other, path
    figures = json.loads((federation / "flare" / "test.json").read_text(encoding="utf-8"))
    assert figures["sites"].keys() == {"s0", "s1", "s2"}
    assert [line[:9] for line in log.lines if line.startswith("Round")] == [
        "Round 1/2",
        "Round 2/2",
    ]
    assert not list(federation.glob(".flare*"))
    with pytest.raises(CheckpointError, match="already holds a run"):
        run_training(config, federation / "flare")


def test_a_job_is_json_without_code_and_without_the_data_folder(
    config: TrainingConfig, tmp_path: Path
) -> None:
    job = build_job(config, tmp_path, run_id="first")
    files = {str(path.relative_to(job)) for path in job.rglob("*") if path.is_file()}
    app = ("config_fed_server.json", "config_fed_client.json", "federation.json")
    assert files == {"meta.json", *(f"app/config/{name}" for name in app)}
    assert all(str(config.data_root) not in (job / name).read_text() for name in files)
    content = read_job(job / "app" / "config")
    assert (content.run_id, content.config.sites) == ("first", config.sites)
    meta = json.loads((job / "meta.json").read_text())
    assert meta["deploy_map"] == {"app": ["server", "s0", "s1", "s2"]}


@pytest.fixture(scope="module")
def started(federation: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A configuration of two sites that begins from a bundle."""
    folder = tmp_path_factory.mktemp("started")
    path = write_federation(folder, rounds=1)
    run_training(load_config(path), folder / "first", device="cpu")
    export_run(folder / "first", folder / "bundle")
    return load_config(write_federation(folder, rounds=1, extra=SIMULATED), start=folder / "bundle")


def test_only_the_server_gets_the_bundle_that_a_run_begins_from(
    started: TrainingConfig, tmp_path: Path
) -> None:
    job = build_job(started, tmp_path, run_id="first")
    meta = json.loads((job / "meta.json").read_text())
    assert meta["deploy_map"] == {"app": ["s0", "s1"], "server-app": ["server"]}
    folders = {path.relative_to(job).parts[0] for path in job.rglob("*.safetensors")}
    assert folders == {"server-app"}
    server, site = (read_job(job / app / "config").config for app in ("server-app", "app"))
    assert config_sha256(server) == config_sha256(site) == config_sha256(started)
    assert site.start.bundle is None
    expected, found = first_members(started), first_members(server)
    assert all(
        torch.equal(one.weights["outconv.weight"], other.weights["outconv.weight"])
        for one, other in zip(expected, found, strict=True)
    )


def test_the_simulator_begins_from_a_bundle(
    started: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    engine = started.engine.model_copy(update={"kind": "local"})
    run_training(started.model_copy(update={"engine": engine}), tmp_path / "local", device="cpu")
    run_training(started, tmp_path / "flare", device="cpu")
    for member in range(2):
        path = f"checkpoints/round_0001/member_{member}.safetensors"
        one, other = ((tmp_path / run / path).read_bytes() for run in ("local", "flare"))
        assert one == other, path


def test_an_unsupported_method_engine_or_option_is_refused(tmp_path: Path) -> None:
    pooled = tiny_config(tmp_path, kind="centralised", extra=SIMULATED)
    with pytest.raises(ConfigError, match="centralised needs the cases of all sites in one place"):
        build_job(pooled, tmp_path, run_id="first")
    far = tiny_config(tmp_path, extra='[engine]\nkind = "flare"')
    with pytest.raises(ConfigError, match="fedcross federation submit"):
        run_training(far, tmp_path / "run")
    near = tiny_config(tmp_path, extra=SIMULATED)
    with pytest.raises(ConfigError, match="--tensorboard is for"):
        run_training(near, tmp_path / "run", tensorboard=True)


def test_the_error_names_a_site_whose_name_flare_does_not_allow(
    config: TrainingConfig, tmp_path: Path
) -> None:
    site = config.sites[0].model_copy(update={"name": "St. Mary's"})
    odd = config.model_copy(update={"sites": (site, *config.sites[1:])})
    with pytest.raises(ConfigError, match="Mary's"):
        build_job(odd, tmp_path, run_id="first")


def test_a_damaged_job_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "federation.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_job(tmp_path)


def test_the_simulator_plans_what_is_planned_on_one_machine(
    federation: Path, config: TrainingConfig
) -> None:
    assert gather_by_engine(config, NullReporter(), device="cpu") == combine_sites(
        gather_figures(config)
    )


def test_a_job_that_plans_is_read_as_one_and_names_no_run(
    config: TrainingConfig, tmp_path: Path
) -> None:
    app = build_job(config, tmp_path, run_id="plan-1", plans=True) / "app" / "config"
    job = read_job(app)
    assert (job.run_id, job.plans) == ("plan-1", True)
    content = json.loads((app / "federation.json").read_text(encoding="utf-8"))
    assert content.keys() == {"plan", "configuration"}  # an older server looks for "run"
    assert not read_job(build_job(config, tmp_path, run_id="run-1") / "app" / "config").plans


def test_the_simulator_calibrates_as_one_machine_does(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=2, cases=7, split=(1, 5, 1), extra=SIMULATED)
    config = load_config(path)
    local = config.model_copy(update={"engine": config.engine.model_copy(update={"kind": "local"})})
    run_training(local, tmp_path / "run", device="cpu")
    export_run(tmp_path / "run", tmp_path / "bundle")
    found = {
        each.engine.kind: calibrate_federation(
            tmp_path / "bundle", each, tmp_path / each.engine.kind, device="cpu"
        )
        for each in (local, config)
    }
    assert found["local"].cases == 10
    assert found["flare-simulator"] == found["local"]
    calibrated = verify_bundle(tmp_path / "flare-simulator")
    assert calibrated.calibration == found["flare-simulator"]


def test_a_job_that_calibrates_is_read_as_one_and_brings_the_bundle(
    config: TrainingConfig, tmp_path: Path
) -> None:
    run_training(
        config.model_copy(update={"engine": config.engine.model_copy(update={"kind": "local"})}),
        tmp_path / "run",
        device="cpu",
    )
    bundle = export_run(tmp_path / "run", tmp_path / "bundle")
    app = (
        build_calibration_job(
            config, bundle, tmp_path, run_id="c-1", pooling="pooled", parts=("test",)
        )
        / "app"
        / "config"
    )
    job = read_job(app)
    assert job.bundle_job == CalibrationJob(app / "bundle", ("test",), "pooled")
    assert verify_bundle(app / "bundle") == bundle.manifest
    content = json.loads((app / "federation.json").read_text(encoding="utf-8"))
    assert "run" not in content  # an older server looks for it
    content["pooling"] = "guess"
    (app / "federation.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_job(app)


def test_the_simulator_makes_the_profile_of_a_bundle_as_one_machine_does(tmp_path: Path) -> None:
    path = write_federation(tmp_path, sites=2, cases=6, split=(1, 5, 0), extra=SIMULATED)
    config = load_config(path)
    local = config.model_copy(update={"engine": config.engine.model_copy(update={"kind": "local"})})
    run_training(local, tmp_path / "run", device="cpu")
    export_run(tmp_path / "run", tmp_path / "bundle")
    found = {
        each.engine.kind: profile_federation(
            tmp_path / "bundle", each, tmp_path / each.engine.kind, device="cpu"
        )
        for each in (local, config)
    }
    assert found["local"].counts == (6, 6)
    assert found["flare-simulator"] == found["local"]
    assert verify_bundle(tmp_path / "flare-simulator").profile == found["flare-simulator"]


def test_a_job_about_a_profile_is_read_as_one(config: TrainingConfig, tmp_path: Path) -> None:
    engine = config.engine.model_copy(update={"kind": "local"})
    run_training(config.model_copy(update={"engine": engine}), tmp_path / "run", device="cpu")
    bundle = export_run(tmp_path / "run", tmp_path / "bundle")
    folder = build_profile_job(config, bundle, tmp_path, run_id="p-1", parts=("train",))
    job = read_job(folder / "app" / "config")
    assert job.bundle_job == ProfileJob(folder / "app" / "config" / "bundle", ("train",))
    assert job.purpose == "profile"
