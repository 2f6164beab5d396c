"""A bundle calibrated with the curves of sites in other processes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedcross
from fedcross.calibration.calibrate import calibrate_bundle
from fedcross.contract.request import RequestOptions
from fedcross.errors import ConfigError, DataError
from fedcross.federate.calibrating import calibrate_federation
from fedcross.federate.remote.calibration import (
    calibrate_for_job,
    calibrate_remotely,
    read_calibration,
)
from fedcross.federate.remote.site_calibration import CalibrationJob
from fedcross.federate.remote.site_work import CURVES, LIKELIHOOD
from fedcross.model.calibration import Calibration
from fedcross.training.config.configuration import TrainingConfig, load_config
from remote_sites import InProcessSites
from tiny_federation import write_federation

SHARED = ("calibration",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation of two sites with five validation cases each, and its bundle."""
    folder = tmp_path_factory.mktemp("federation")
    config = write_federation(folder, cases=7, split=(1, 5, 1))
    fedcross.train(config, folder / "run", device="cpu")
    fedcross.export(folder / "run", folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> TrainingConfig:
    return load_config(folder / "config.toml")


@pytest.fixture(scope="module")
def job(folder: Path) -> CalibrationJob:
    return CalibrationJob(folder / "bundle", "shrunk", ("validation",))


@pytest.fixture(scope="module")
def on_one_machine(folder: Path, config: TrainingConfig) -> Calibration:
    return calibrate_bundle(
        folder / "bundle", config, folder / "local", options=RequestOptions(device="cpu")
    )


def calibrate(
    config: TrainingConfig, job: CalibrationJob, **sites: Any
) -> tuple[Calibration, list[str]]:
    lines: list[str] = []
    connections = InProcessSites(config, **{"share": SHARED, "calibration": job, **sites})
    with fedcross.open_bundle(job.bundle) as bundle:
        found = calibrate_remotely(config, bundle.manifest, job.pooling, connections, lines.append)
    return found, lines


def numbers(value: Any) -> list[float]:
    """All numbers of a record, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [float(value)] if isinstance(value, int | float) else []


def test_the_calibration_is_that_of_the_same_cases_on_one_machine(
    config: TrainingConfig, job: CalibrationJob, on_one_machine: Calibration
) -> None:
    found, lines = calibrate(config, job)
    assert lines == []
    assert (found.cases, found.sites) == (10, 2)
    one, other = (numbers(each.model_dump(mode="json")) for each in (found, on_one_machine))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_site_that_does_not_share_or_fails_is_left_out_and_named(
    config: TrainingConfig, job: CalibrationJob
) -> None:
    found, lines = calibrate(config, job, fails=lambda site, task, index: site == "s1")
    assert (found.cases, found.sites) == (5, 1)
    assert lines == ["Site s1 did not answer for 60 s. The calibration is without this site."]
    with pytest.raises(ConfigError, match="No site sent curves"):
        calibrate(config, job, share=("loss", "validation", "cases", "data"))


def test_a_site_with_fewer_than_five_cases_sends_nothing(
    config: TrainingConfig, job: CalibrationJob
) -> None:
    few = CalibrationJob(job.bundle, job.pooling, ("test",))
    sites = InProcessSites(config, share=SHARED, calibration=few)
    assert sites("s0", LIKELIHOOD, [], 0) == {"shared": True, "curves": None}
    with pytest.raises(ConfigError, match="No site sent curves"):
        calibrate(config, few)


def test_what_a_site_sends_names_no_case_and_no_path(
    config: TrainingConfig, job: CalibrationJob
) -> None:
    sites = InProcessSites(config, share=SHARED, calibration=job)
    for task in (LIKELIHOOD, CURVES):
        text = sites("s0", task, [], 20)["curves"]
        assert "case-" not in text
        assert Path(config.data_root).name not in text


@pytest.mark.parametrize(
    "answer", ["{}", "[", 7, '{"cases": 1, "temperature": 1, "structures": [], "scan": "A"}']
)
def test_curves_of_another_form_are_not_used(
    config: TrainingConfig, job: CalibrationJob, answer: object
) -> None:
    def change(site: str, task: str, index: int, given: dict[str, Any]) -> dict[str, Any]:
        return {"shared": True, "curves": answer} if (site, task) == ("s1", CURVES) else given

    found, lines = calibrate(config, job, changes=change)
    assert (found.cases, found.sites) == (5, 1)
    assert lines == ["Site s1 sent curves of another form; the calibration is without it."]


def test_a_job_that_calibrates_nothing_computes_no_curves(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="calibrates no bundle"):
        InProcessSites(config, share=SHARED)("s0", CURVES, [], 0)


def test_the_result_of_a_job_is_read_back(
    config: TrainingConfig, job: CalibrationJob, tmp_path: Path
) -> None:
    sites = InProcessSites(config, share=SHARED, calibration=job)
    calibrate_for_job(config, job, tmp_path / "out", sites, lambda line: None)
    assert read_calibration(tmp_path / "out").cases == 10
    (tmp_path / "out" / "calibration.json").write_text("{}x")
    with pytest.raises(DataError, match="missing or damaged"):
        read_calibration(tmp_path / "out")


def test_a_kit_without_hospitals_and_hospitals_without_a_kit_are_refused(
    folder: Path, config: TrainingConfig
) -> None:
    out = folder / "none"
    with pytest.raises(ConfigError, match="needs no --kit"):
        calibrate_federation(folder / "bundle", config, out, kit=folder)
    engine = config.engine.model_copy(update={"kind": "flare"})
    with pytest.raises(ConfigError, match="--kit is missing"):
        calibrate_federation(folder / "bundle", config.model_copy(update={"engine": engine}), out)
    assert not out.exists()
