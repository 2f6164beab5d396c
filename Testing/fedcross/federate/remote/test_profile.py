"""A bundle's profile made from the moments of sites in other processes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedcross
from fedcross.calibration.profile_bundle import profile_bundle
from fedcross.calibration.profile_messages import SentMoments
from fedcross.contract.request import RequestOptions
from fedcross.errors import ConfigError, DataError
from fedcross.federate.profiling import profile_federation
from fedcross.federate.remote.bundle_job import ProfileJob
from fedcross.federate.remote.bundle_tasks import DISTANCES, PROPERTIES, SCORES
from fedcross.federate.remote.profile import profile_for_job, profile_remotely, read_profile
from fedcross.federate.remote.visits import HasTensors
from fedcross.model.profile import Profile
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.uncertainty.moments import Moments
from record_numbers import numbers
from remote_sites import InProcessSites
from tiny_federation import write_federation

SHARED = ("profile",)
PARTS = ("train", "validation")


class ChangedSites:
    """The sites in this process; a test can replace the answers of some of them.

    Their cases are segmented once: the sites are the same for all tests.
    """

    def __init__(self, sites: InProcessSites, changed: dict[tuple[str, str], object]) -> None:
        self._sites, self._changed = sites, changed

    def fetch_setups(self) -> Any:
        return self._sites.fetch_setups()

    def __call__(
        self, site: str, task: str, members: Sequence[HasTensors], round_index: int
    ) -> dict[str, Any]:
        if (site, task) in self._changed:
            return {"shared": True, "moments": self._changed[site, task]}
        return self._sites(site, task, members, round_index)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation of two sites with six cases to train and validate, and its bundle."""
    folder = tmp_path_factory.mktemp("federation")
    config = write_federation(folder, cases=7, split=(1, 5, 1))
    fedcross.train(config, folder / "run", device="cpu")
    fedcross.export(folder / "run", folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> TrainingConfig:
    return load_config(folder / "config.toml")


@pytest.fixture(scope="module")
def job(folder: Path) -> ProfileJob:
    return ProfileJob(folder / "bundle", PARTS)


@pytest.fixture(scope="module")
def sites(config: TrainingConfig, job: ProfileJob) -> InProcessSites:
    return InProcessSites(config, share=SHARED, bundle_job=job)


def make(
    config: TrainingConfig,
    sites: InProcessSites,
    changed: dict[tuple[str, str], object] | None = None,
) -> tuple[Profile, list[str]]:
    lines: list[str] = []
    return profile_remotely(config, ChangedSites(sites, changed or {}), lines.append), lines


def test_the_profile_is_that_of_the_same_cases_on_one_machine(
    folder: Path, config: TrainingConfig, sites: InProcessSites
) -> None:
    found, lines = make(config, sites)
    local = profile_bundle(
        folder / "bundle", config, folder / "local", options=RequestOptions(device="cpu")
    )
    assert lines == []
    assert (found.counts, found.scored, found.score_count) == ((6, 6), "validation", 10)
    one, other = (numbers(each.model_dump(mode="json")) for each in (found, local))
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_site_sends_moments_only_if_it_shares_them(
    config: TrainingConfig, job: ProfileJob
) -> None:
    silent = InProcessSites(config, bundle_job=job)  # shares loss, validation and cases
    assert silent("s0", PROPERTIES, [], 0) == {"shared": False, "moments": None}
    lines: list[str] = []
    with pytest.raises(ConfigError, match="No site sent moments"):
        profile_remotely(config, silent, lines.append)
    assert 'with "profile" in share' in lines[0]


def test_a_site_with_fewer_than_five_cases_sends_nothing_and_segments_nothing(
    config: TrainingConfig, job: ProfileJob
) -> None:
    few = InProcessSites(config, share=SHARED, bundle_job=ProfileJob(job.bundle, ("test",)))
    assert few("s0", PROPERTIES, [], 0) == {"shared": True, "moments": None}


def test_validation_cases_alone_are_scored_only_where_each_site_has_five(
    config: TrainingConfig, sites: InProcessSites
) -> None:
    record = json.loads(sites("s1", PROPERTIES, [], 0)["moments"])
    record["validation"] = 4
    found, _ = make(config, sites, {("s1", PROPERTIES): json.dumps(record)})
    assert (found.scored, found.score_count) == ("all", 12)


@pytest.mark.parametrize("answer", ["{}", "[", 7, None])
def test_a_site_whose_first_moments_cannot_be_used_is_left_out(
    config: TrainingConfig, sites: InProcessSites, answer: object
) -> None:
    found, lines = make(config, sites, {("s1", PROPERTIES): answer})
    assert found.counts == (6,)
    (line,) = lines
    assert line.startswith("Site s1 ")
    assert line.endswith("the profile is without it.")


def test_a_site_with_other_properties_or_few_cases_is_left_out(
    config: TrainingConfig, sites: InProcessSites
) -> None:
    record = json.loads(sites("s1", PROPERTIES, [], 0)["moments"])
    other = {**record, "groups": [[f"x{name}" for name in each] for each in record["groups"]]}
    few = {**record, "moments": {**record["moments"], "count": 4}, "validation": 4}
    for change in (other, few):
        found, lines = make(config, sites, {("s1", PROPERTIES): json.dumps(change)})
        assert found.counts == (6,)
        assert lines == [
            "Site s1 sent moments that do not fit the others; the profile is without it."
        ]


@pytest.mark.parametrize("task", [DISTANCES, SCORES])
def test_moments_of_another_number_of_cases_do_not_count_for_the_limit(
    config: TrainingConfig, sites: InProcessSites, task: str
) -> None:
    answer = json.dumps({"count": 7, "mean": [0.0], "scatter": [1.0]})
    found, lines = make(config, sites, {("s1", task): answer})
    assert found.counts == (6, 6)
    assert found.score_count == (5 if task == SCORES else 10)
    assert lines == [
        "Site s1 sent moments that do not fit its first ones; the limit is without it."
    ]


def test_moments_that_make_no_profile_are_one_sentence(
    config: TrainingConfig, sites: InProcessSites
) -> None:
    record = json.loads(sites("s1", PROPERTIES, [], 0)["moments"])
    record["moments"]["mean"] = [1e9] * len(record["moments"]["mean"])
    changed: dict[tuple[str, str], object] = {("s1", PROPERTIES): json.dumps(record)}
    for task, count in ((DISTANCES, len(record["groups"])), (SCORES, 1)):
        moments = Moments.of(np.zeros((5, count)))
        changed["s1", task] = SentMoments.of(moments).model_dump_json()
    with pytest.raises(DataError, match="no valid profile"):
        make(config, sites, changed)


def test_a_site_refuses_moments_of_its_own_that_it_did_not_send(
    config: TrainingConfig, sites: InProcessSites
) -> None:
    record = json.loads(sites("s1", PROPERTIES, [], 0)["moments"])
    record["moments"]["mean"][0] += 1e-6
    with pytest.raises(DataError, match="other moments of this site"):
        make(config, sites, {("s1", PROPERTIES): json.dumps(record)})


def test_what_a_site_sends_names_no_case_and_no_path(
    config: TrainingConfig, sites: InProcessSites
) -> None:
    sent = sites("s0", PROPERTIES, [], 0)["moments"]
    assert "case-" not in sent
    assert Path(config.data_root).name not in sent


def test_a_job_that_makes_no_profile_sends_no_moments(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="makes no profile"):
        InProcessSites(config, share=SHARED)("s0", PROPERTIES, [], 0)


def test_distances_need_the_moments_of_all_sites(sites: InProcessSites) -> None:
    with pytest.raises(DataError, match="moments of another form"):
        sites("s0", DISTANCES, [], 0)


def test_the_result_of_a_job_is_read_back(
    config: TrainingConfig, sites: InProcessSites, tmp_path: Path
) -> None:
    profile_for_job(config, tmp_path / "out", sites, lambda line: None)
    assert read_profile(tmp_path / "out").counts == (6, 6)
    (tmp_path / "out" / "profile.json").write_text("{}x")
    with pytest.raises(DataError, match="missing or damaged"):
        read_profile(tmp_path / "out")


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
            profile_federation(folder / "bundle", changed, out, kit=kit)
    assert not out.exists()
