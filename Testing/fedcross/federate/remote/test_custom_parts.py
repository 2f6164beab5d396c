"""Code of a package across hospitals: each allows it itself, and the server checks what comes back."""

from pathlib import Path

import pytest
import torch

from custom_federation import write_custom_federation
from fedcross.errors import ConfigError, PluginError
from fedcross.federate.kits.settings_checks import check_plugins
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.local.engine import run_local
from fedcross.federate.remote.engine import run_remote
from fedcross.federate.remote.guard import UpdateError, check_update
from fedcross.federate.remote.setups import check_same_setup
from fedcross.federate.remote.site_work import SiteWork, describe_setup
from fedcross.federate.remote.status import RunStatus
from fedcross.runtime.plugins import allow_plugins
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig, config_values, parse_config
from fedcross.training.config.file import load_config
from fedcross.training.run.folder import RunFolder
from installed_packages import PACKAGE, example, nothing_allowed
from remote_sites import InProcessSites, keep_unfiltered

__all__ = ["example", "nothing_allowed"]  # fixtures


@pytest.fixture
def job(tmp_path: Path, example: str) -> TrainingConfig:
    """The configuration as a site gets it with a job: from its record."""
    config = load_config(write_custom_federation(tmp_path))
    received = parse_config(config_values(config), source="job", is_record=True)
    return received.model_copy(update={"data_root": tmp_path})


def settings(config: TrainingConfig, *plugins: str) -> SiteSettings:
    return SiteSettings(data=config.data_root, device="cpu", plugins=plugins)


def test_a_job_alone_does_not_let_a_site_use_a_package(job: TrainingConfig) -> None:
    with pytest.raises(PluginError, match=r"'two-level' is code of .* which you have not allowed"):
        SiteWork(job, "s0", settings(job), keep_unfiltered)
    SiteWork(job, "s0", settings(job, PACKAGE), keep_unfiltered)


def test_the_server_names_the_site_that_does_not_allow_the_package(job: TrainingConfig) -> None:
    refusing = describe_setup(job)
    allow_plugins(PACKAGE)
    own = describe_setup(job)
    with pytest.raises(
        ConfigError,
        match="Site b differs from the server in the package fedcross-example: not allowed there, "
        r"1\.0\.0 here",
    ):
        check_same_setup(own, {"a": own, "b": refusing})


def test_a_server_that_does_not_allow_the_package_begins_no_run(
    job: TrainingConfig, tmp_path: Path
) -> None:
    allow_plugins(PACKAGE)
    sites = InProcessSites(job)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedcross.runtime.plugins._allowed", set())
        with pytest.raises(PluginError, match="not allowed"):
            run_remote(job, tmp_path / "run", sites, RunStatus(2))
    assert not (tmp_path / "run").exists()


def test_the_check_of_a_site_says_what_to_add_to_its_settings(job: TrainingConfig) -> None:
    (refused,) = check_plugins(settings(job), job)
    assert refused.verdict == "wrong"
    assert "add it to plugins in local/site.toml" in refused.message
    (allowed,) = check_plugins(settings(job, PACKAGE), job)
    assert (allowed.verdict, allowed.message) == (
        "good",
        "The package fedcross-example 1.0.0 is installed, and this hospital allows it.",
    )


def test_remote_sites_train_the_same_members_as_the_local_engine(
    job: TrainingConfig, tmp_path: Path
) -> None:
    allow_plugins(PACKAGE)
    run_local(job, tmp_path / "local", device="cpu")
    run_remote(job, tmp_path / "remote", InProcessSites(job), RunStatus(2))
    local, remote = (
        RunFolder(tmp_path / name).checkpoints.latest() for name in ("local", "remote")
    )
    assert local is not None
    assert remote is not None
    for one, other in zip(local.members, remote.members, strict=True):
        ours, theirs = one.to_tensors(), other.to_tensors()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


BEFORE = MemberState(0, {"a": torch.tensor([0.03, 0.04]), "n": torch.tensor(1)}, {})
SENT = {
    "weights.a": torch.tensor([0.03, 0.05]),
    "weights.n": torch.tensor(1),
    "optimizer.average.a": torch.tensor([2.0, 0.0]),
}


def test_the_state_of_a_packages_optimiser_is_accepted_as_it_is_described(
    job: TrainingConfig,
) -> None:
    allow_plugins(PACKAGE)
    after = check_update(BEFORE, SENT, "here", job)
    assert after.optimizer["average.a"].tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("optimizer.momentum_buffer.a", torch.zeros(2), "which no member has"),
        ("optimizer.average.b", torch.zeros(2), "which no member has"),
        ("optimizer.average.a", torch.zeros(()), r"of shape \(\)"),
        ("optimizer.average.a", torch.tensor([torch.nan, 0.0]), "NaN or infinite"),
    ],
)
def test_another_state_of_a_packages_optimiser_is_refused(
    job: TrainingConfig, name: str, value: torch.Tensor, message: str
) -> None:
    allow_plugins(PACKAGE)
    with pytest.raises(UpdateError, match=message):
        check_update(BEFORE, {**SENT, name: value}, "here", job)


def test_the_next_step_of_a_packages_optimiser_is_bounded_too(job: TrainingConfig) -> None:
    allow_plugins(PACKAGE)
    # A step of Lion moves every weight with a state by the learning rate: 0.2 with the norm 0.05 before.
    faster = job.training.model_copy(update={"learning_rate": 0.2})
    bound = job.engine.model_copy(update={"max_update": 3.0})
    config = job.model_copy(update={"training": faster, "engine": bound})
    with pytest.raises(UpdateError, match=r"next step would move its weights by 0\.2, more than 3"):
        check_update(BEFORE, SENT, "here", config)
    endless = {**SENT, "optimizer.average.a": torch.tensor([3e38, 3e38])}
    assert check_update(BEFORE, endless, "here", job).rounds_done == 1  # the sign of it is 1
    still = {**SENT, "optimizer.average.a": torch.zeros(2)}
    assert check_update(BEFORE, still, "here", config).rounds_done == 1
