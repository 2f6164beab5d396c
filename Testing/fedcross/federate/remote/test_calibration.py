"""A bundle calibrated with the curves of sites in other processes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedcross
from fedcross.calibration.calibrate import calibrate_bundle
from fedcross.calibration.curves import LikelihoodCurve
from fedcross.calibration.fit import fit_temperature
from fedcross.contract.request import RequestOptions
from fedcross.errors import ConfigError, DataError
from fedcross.federate.calibrating import calibrate_federation
from fedcross.federate.remote.bundle_job import CalibrationJob
from fedcross.federate.remote.bundle_tasks import CURVES, LIKELIHOOD
from fedcross.federate.remote.calibration import (
    calibrate_for_job,
    calibrate_remotely,
    read_calibration,
)
from fedcross.federate.remote.site_work import describe_setup
from fedcross.federate.remote.visits import HasTensors, SiteError
from fedcross.model.calibration import Calibration
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.uncertainty.temperature import TEMPERATURES
from record_numbers import numbers
from remote_sites import InProcessSites
from tiny_federation import write_federation

SHARED = ("calibration",)
Answers = dict[tuple[str, str], dict[str, Any]]


class RecordedSites:
    """Sites that give recorded answers, changed by a test, so that no case is segmented again."""

    def __init__(self, config: TrainingConfig, answers: Answers) -> None:
        self._config, self._answers = config, answers

    def fetch_setups(self) -> dict[str, dict[str, str]]:
        return {site.name: describe_setup(self._config) for site in self._config.sites}

    def __call__(
        self, site: str, task: str, members: Sequence[HasTensors], round_index: int
    ) -> dict[str, Any]:
        if (site, task) not in self._answers:
            raise SiteError(f"Site {site} did not answer for 60 s.")
        return self._answers[site, task]


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
    return CalibrationJob(folder / "bundle", ("validation",), "shrunk")


@pytest.fixture(scope="module")
def on_one_machine(folder: Path, config: TrainingConfig) -> Calibration:
    return calibrate_bundle(
        folder / "bundle", config, folder / "local", options=RequestOptions(device="cpu")
    )


@pytest.fixture(scope="module")
def answers(config: TrainingConfig, job: CalibrationJob, on_one_machine: Calibration) -> Answers:
    """What the sites answer to the two questions of a calibration."""
    sites = InProcessSites(config, share=SHARED, bundle_job=job)
    index = TEMPERATURES.index(on_one_machine.temperature)
    return {
        (site.name, task): sites(site.name, task, [], index)
        for site in config.sites
        for task in (LIKELIHOOD, CURVES)
    }


def calibrate(
    config: TrainingConfig, job: CalibrationJob, answers: Answers
) -> tuple[Calibration, list[str]]:
    lines: list[str] = []
    with fedcross.open_bundle(job.bundle) as bundle:
        found = calibrate_remotely(
            config, bundle.manifest, job.pooling, RecordedSites(config, answers), lines.append
        )
    return found, lines


def test_the_calibration_is_that_of_the_same_cases_on_one_machine(
    config: TrainingConfig, job: CalibrationJob, answers: Answers, on_one_machine: Calibration
) -> None:
    found, lines = calibrate(config, job, answers)
    assert lines == []
    assert (found.cases, found.sites) == (10, 2)
    one, other = (numbers(each.model_dump(mode="json")) for each in (found, on_one_machine))
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_site_that_fails_is_left_out_and_named(
    config: TrainingConfig, job: CalibrationJob, answers: Answers
) -> None:
    for lost in (LIKELIHOOD, CURVES):
        fewer = {key: answer for key, answer in answers.items() if key != ("s1", lost)}
        found, lines = calibrate(config, job, with_temperature(fewer))
        assert (found.cases, found.sites) == (5, 1)
        assert lines == ["Site s1 did not answer for 60 s. The calibration is without this site."]


def with_temperature(answers: Answers) -> Answers:
    """The answers, with the curves at the temperature that follows from these likelihoods."""
    given = [answer["curves"] for (_, task), answer in answers.items() if task == LIKELIHOOD]
    temperature = fit_temperature([LikelihoodCurve.model_validate_json(each) for each in given], 1)
    changed = {}
    for key, answer in answers.items():
        record = json.loads(answer["curves"])
        if key[1] == CURVES:
            record["temperature"] = temperature
        changed[key] = {**answer, "curves": json.dumps(record)}
    return changed


def test_a_site_sends_curves_only_if_it_shares_them(
    config: TrainingConfig, job: CalibrationJob, answers: Answers
) -> None:
    sites = InProcessSites(config, bundle_job=job)  # shares loss, validation and cases
    refused = sites("s0", LIKELIHOOD, [], 0)
    assert refused == {"shared": False, "curves": None}
    with pytest.raises(ConfigError, match="No site sent curves"):
        calibrate(config, job, dict.fromkeys(answers, refused))


def test_a_site_with_fewer_than_five_cases_sends_nothing(
    config: TrainingConfig, job: CalibrationJob, answers: Answers
) -> None:
    few = CalibrationJob(job.bundle, ("test",), job.pooling)
    sites = InProcessSites(config, share=SHARED, bundle_job=few)
    nothing = sites("s0", LIKELIHOOD, [], 0)
    assert nothing == {"shared": True, "curves": None}
    with pytest.raises(ConfigError, match="No site sent curves"):
        calibrate(config, job, dict.fromkeys(answers, nothing))


def test_what_a_site_sends_names_no_case_and_no_path(
    config: TrainingConfig, answers: Answers
) -> None:
    for answer in answers.values():
        assert "case-" not in answer["curves"]
        assert Path(config.data_root).name not in answer["curves"]


@pytest.mark.parametrize(
    "answer", ["{}", "[", 7, '{"cases": 1, "temperature": 1, "structures": [], "scan": "A"}']
)
def test_curves_of_another_form_are_not_used(
    config: TrainingConfig, job: CalibrationJob, answers: Answers, answer: object
) -> None:
    changed = {**answers, ("s1", CURVES): {"shared": True, "curves": answer}}
    found, lines = calibrate(config, job, changed)
    assert (found.cases, found.sites) == (5, 1)
    assert lines == ["Site s1 sent curves of another form; the calibration is without it."]


@pytest.mark.parametrize("change", [{"cases": 4}, {"temperature": 3.0}, {"name": "Liver"}])
def test_curves_that_do_not_fit_the_bundle_are_not_used(
    config: TrainingConfig, job: CalibrationJob, answers: Answers, change: dict[str, Any]
) -> None:
    record = json.loads(answers["s1", CURVES]["curves"])
    if "name" in change:
        record["structures"][0] |= change
    else:
        record |= {**change, "structures": []}
    changed = {**answers, ("s1", CURVES): {"shared": True, "curves": json.dumps(record)}}
    found, lines = calibrate(config, job, changed)
    assert (found.cases, found.sites) == (5, 1)
    assert lines == [
        "Site s1 sent curves that do not fit the bundle; the calibration is without it."
    ]


def test_a_job_that_calibrates_nothing_computes_no_curves(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="calibrates no bundle"):
        InProcessSites(config, share=SHARED)("s0", CURVES, [], 0)


def test_the_result_of_a_job_is_read_back(
    config: TrainingConfig, job: CalibrationJob, answers: Answers, tmp_path: Path
) -> None:
    sites = RecordedSites(config, answers)
    calibrate_for_job(config, job, tmp_path / "out", sites, lambda line: None)
    assert read_calibration(tmp_path / "out").cases == 10
    (tmp_path / "out" / "calibration.json").write_text("{}x")
    with pytest.raises(DataError, match="missing or damaged"):
        read_calibration(tmp_path / "out")


def test_a_kit_for_the_simulator_and_hospitals_without_a_kit_are_refused(
    folder: Path, config: TrainingConfig
) -> None:
    out = folder / "none"
    for kind, kit, message in (
        ("flare-simulator", folder, "needs no --kit"),
        ("flare", None, "--kit is missing"),
    ):
        engine = config.engine.model_copy(update={"kind": kind})
        changed = config.model_copy(update={"engine": engine})
        with pytest.raises(ConfigError, match=message):
            calibrate_federation(folder / "bundle", changed, out, kit=kit)
    assert not out.exists()
