"""A job that leaves no run: submitted, followed to its end, its result returned."""

from pathlib import Path

import pytest

from fake_server import FakeServer
from fedcross.errors import DataError
from fedcross.federate.supervise.server_connection import FederationError
from fedcross.federate.supervise.short_job import follow_job, new_job_id
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.figures import FederationFigures, Intensities, read_figures

FIGURES = FederationFigures(
    cases=3,
    train=(1, 1),
    spacing_mm=(1, 1, 2),
    fine_spacing_mm=(1, 1, 1),
    sides_mm=(100, 100, 50),
    nonzero_box=0.5,
    extent_mm=(10, 10, 10),
    foreground=Intensities(low=0, high=1, mean=0.5, std=0.1),
    left_out=("s1",),
)


def follow(server: FakeServer, config: TrainingConfig, folder: Path) -> FederationFigures:
    quick = Timeouts(poll_s=0.01)
    return read_figures(follow_job(config, server, Path("job"), folder, lambda line: None, quick))


def test_the_figures_of_the_server_are_returned(small: TrainingConfig, tmp_path: Path) -> None:
    server = FakeServer()
    server.files = {"figures.json": FIGURES.model_dump_json()}
    assert follow(server, small, tmp_path) == FIGURES
    assert list(server.statuses) == ["job-0"]


def test_a_refusal_and_damaged_figures_are_errors(small: TrainingConfig, tmp_path: Path) -> None:
    server = FakeServer()
    server.state = "refused"
    with pytest.raises(FederationError):
        follow(server, small, tmp_path / "one")
    with pytest.raises(DataError, match="missing or damaged"):
        follow(FakeServer(), small, tmp_path / "two")


def test_every_job_has_an_identifier_of_its_own() -> None:
    one, other = new_job_id("plan"), new_job_id("plan")
    assert one != other
    assert one.startswith("plan-")
