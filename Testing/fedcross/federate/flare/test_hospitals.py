"""A server and three hospitals as separate processes over TLS; the tests kill some of them."""

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import fedcross
from fedcross.cli import app
from fedcross.federate.flare.admin import open_server_connection
from fedcross.federate.flare.job import RUNS, build_job
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.local.engine import run_local
from fedcross.federate.supervise.federated_run import FederatedRun
from fedcross.federate.supervise.progress import get_progress
from fedcross.federate.supervise.timeouts import Timeouts
from fedcross.model.bundle import verify_bundle
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from federation_processes import Processes, federation_processes, wait_until
from record_numbers import numbers
from tiny_federation import SPACING_MM, write_federation

pytestmark = pytest.mark.federation

SITES = ("s0", "s1", "s2")
TIMEOUTS = Timeouts(poll_s=1.0, server_s=90.0, start_s=90.0, connect_s=60.0, join_s=8.0, attempts=3)
RUN_TIMEOUT_S = 240.0  # for a whole run
# A site's sitecustomize.py: it replaces `visit` before the site's first job imports it.
REPLACE_VISIT = """
import importlib.abc, os, sys, time
class VisitReplacer(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "fedcross.federate.remote.site_work":
            return None
        sys.meta_path.remove(self)
        import fedcross.training.step.visit as trainer
        original = trainer.visit
        def visit(*arguments):
            after, report = original(*arguments)
            {code}
            return after, report
        trainer.visit = visit
        return None
sys.meta_path.insert(0, VisitReplacer())
"""
INSERT_NAN = """for tensor in after.weights.values():
                if tensor.is_floating_point():
                    tensor.view(-1)[0] = float("nan")"""
BLOCK_WHILE_EXISTS = """while os.path.exists({path!r}):
                time.sleep(0.05)"""


def run_after_visits(folder: Path, code: str) -> dict[str, str]:
    """Environment variables that let a site run `code` after every visit."""
    (folder / "altered").mkdir()
    (folder / "altered" / "sitecustomize.py").write_text(
        REPLACE_VISIT.replace("{code}", code), encoding="utf-8"
    )
    paths = [str(folder / "altered"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def block_while_exists(file: Path, folder: Path) -> dict[str, str]:
    """Environment variables that let a site's visits not end while `file` exists."""
    return run_after_visits(folder, BLOCK_WHILE_EXISTS.format(path=str(file)))


class Submitted:
    """A run that a thread submits and supervises."""

    def __init__(
        self,
        processes: Processes,
        config: TrainingConfig,
        folder: Path,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.run = FederatedRun(folder / "run")
        self.lines: list[str] = []
        self._processes, self._timeouts, self._config = processes, timeouts, config
        self._record = self.run.begin(config)
        jobs = Path(tempfile.mkdtemp(dir=folder))
        self._job = build_job(config, jobs, run_id=self._record.run)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def _supervise(self) -> None:
        try:
            with open_server_connection(self._processes.kit("admin")) as connection:
                self.run.supervise(
                    connection, self._job, self._config, self.lines.append, self._timeouts
                )
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._error = error

    @property
    def server_folder(self) -> RunFolder:
        return RunFolder(self._processes.kit("server").path / RUNS / self._record.run)

    def wait_for_round(self, number: int) -> None:
        wait_until(
            lambda: self._error is not None or number in self.server_folder.checkpoints.rounds(),
            RUN_TIMEOUT_S,
            f"round {number}; log: {self.lines}",
        )
        self.raise_error()

    def wait_for_line(self, text: str) -> None:
        wait_until(
            lambda: self._error is not None or any(text in line for line in self.lines),
            RUN_TIMEOUT_S,
            f"a line with {text!r}; log: {self.lines}",
        )
        self.raise_error()

    def finish(self) -> RunFolder:
        self._thread.join(RUN_TIMEOUT_S)
        self.raise_error()
        assert not self._thread.is_alive(), f"not finished: {self.lines}"
        assert self.run.finished
        return RunFolder(self.run.path)

    def wait_for_error(self) -> str:
        self._thread.join(RUN_TIMEOUT_S)
        assert self._error is not None, f"no error: {self.lines}"
        return str(self._error)

    def raise_error(self) -> None:
        if self._error is not None:
            output = "\n\n".join(self._processes.last_output(name) for name in ("server", "s0"))
            raise AssertionError(f"{self._error}; log: {self.lines}\n{output}") from self._error


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Processes]:
    with federation_processes(tmp_path, dict.fromkeys(SITES, tmp_path / "data")) as processes:
        yield processes


def write_config(
    folder: Path, rounds: int, epochs: int, min_sites: int = len(SITES)
) -> TrainingConfig:
    path = write_federation(
        folder / "data",
        sites=len(SITES),
        rounds=rounds,
        local_epochs=epochs,
        extra=f"[engine]\nsilence_timeout_s = 15\nmin_sites = {min_sites}",
    )
    return load_config(path)


def assert_same_members(found: RunFolder, config: TrainingConfig, folder: Path) -> None:
    run_local(config, folder / "local", device="cpu")
    expected = RunFolder(folder / "local").checkpoints.latest()
    last = found.checkpoints.latest()
    assert expected is not None
    assert last is not None
    assert last.rounds_done == expected.rounds_done == config.method.rounds
    for one, other in zip(last.members, expected.members, strict=True):
        state, wanted = one.to_tensors(), other.to_tensors()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(state[name], wanted[name]) for name in wanted)


def metrics(run: RunFolder) -> list[dict]:
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def gaps(run: RunFolder) -> list[dict]:
    found: list[dict] = run.read("gaps.json")["gaps"]
    return found


def test_separate_processes_over_tls_train_the_same_members_as_the_local_engine(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=1)
    trial.start("server", *SITES)
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(2)
    assert "both certificates are accepted" in check_connection(trial.kit("s0"))
    run = submitted.finish()
    assert_same_members(run, config, tmp_path)
    assert gaps(run) == []  # the connection check disturbed no site
    assert sum(line.startswith("Submitted job") for line in submitted.lines) == 1, submitted.lines
    export_run(run.path, tmp_path / "bundle")
    verify_bundle(tmp_path / "bundle")
    everything = "".join(
        path.read_text(errors="replace") for path in trial.kit("server").path.rglob("*.[tj][xs]*")
    )
    assert "case-" not in everything  # the server has no case names
    assert str(tmp_path / "data") not in everything  # and no data folder


def test_a_killed_site_loses_only_its_visit_and_makes_it_up_later(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=4, epochs=20)
    hold = tmp_path / "hold"
    trial.start("server", "s1", "s2")
    trial.start("s0", **block_while_exists(hold, tmp_path))
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(1)
    hold.touch()  # no round ends before the server notices s1
    trial.kill("s1")
    trial.start("s1")
    submitted.wait_for_line("A new job with s1 begins")
    hold.unlink()
    run = submitted.finish()
    lost = gaps(run)
    assert lost
    assert {gap["site"] for gap in lost} == {1}
    assert all(gap["made_up"] is not None for gap in lost)
    others = [line for line in metrics(run) if line.get("site") in ("s0", "s2")]
    assert len(others) == 8
    assert all("failed" not in line for line in others)
    last = run.checkpoints.latest()
    assert last is not None
    assert [member.rounds_done for member in last.members] == [4, 4, 4]


def test_a_run_whose_server_is_killed_ends_with_the_same_members(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=30)
    hold = tmp_path / "hold"
    trial.start("server", "s1", "s2")
    trial.start("s0", **block_while_exists(hold, tmp_path))
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(1)
    hold.touch()  # the run must not end before the server is killed
    trial.kill("server")
    hold.unlink()
    trial.start("server")
    run = submitted.finish()
    assert any("does not answer" in line for line in submitted.lines)
    assert sum(line.startswith("Submitted job") for line in submitted.lines) == 2, submitted.lines
    assert_same_members(run, config, tmp_path)
    assert gaps(run) == []


def test_a_refused_run_goes_on_after_the_hospital_was_mended(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=10)
    hold = tmp_path / "hold"
    settings = trial.kit("s1").path / "local" / "site.toml"
    agreed = settings.read_text(encoding="utf-8")
    trial.start("server", "s1", "s2")
    trial.start("s0", **block_while_exists(hold, tmp_path))
    submitted = Submitted(trial, config, tmp_path)
    submitted.wait_for_round(1)
    hold.touch()  # the run must not end before the server is killed
    trial.kill("server")
    settings.write_text(f'{agreed}configuration = "{"0" * 64}"\n', encoding="utf-8")
    hold.unlink()
    trial.start("server")
    assert "Site s1 differs from the server in the configuration" in submitted.wait_for_error()
    with open_server_connection(trial.kit("admin")) as connection:
        progress = get_progress(submitted.run, connection)
    assert progress.state.startswith("Refused")
    assert "Site s1 differs" in progress.message
    settings.write_text(agreed, encoding="utf-8")
    again = Submitted(trial, config, tmp_path)
    run = again.finish()
    assert "handed in again" in again.lines[0]
    assert_same_members(run, config, tmp_path)
    assert gaps(run) == []


def test_a_site_that_joins_late_takes_part_from_then_on(trial: Processes, tmp_path: Path) -> None:
    config = write_config(tmp_path, rounds=6, epochs=4, min_sites=2)
    hold = tmp_path / "hold"
    trial.start("server", "s1")
    trial.start("s0", **block_while_exists(hold, tmp_path))
    wait_until(  # so that only s2 is late, also on a slow machine
        lambda: all("Successfully registered" in trial.last_output(site) for site in ("s0", "s1")),
        RUN_TIMEOUT_S,
        "s0 and s1 at the server",
    )
    submitted = Submitted(trial, config, tmp_path, replace(TIMEOUTS, connect_s=1.0, join_s=600.0))
    submitted.wait_for_round(1)
    hold.touch()  # no round ends before the server notices s2
    trial.start("s2")
    submitted.wait_for_line("A new job with s2 begins")
    copies = RunFolder(submitted.run.path)
    assert copies.read("status.json")["state"] == "running"
    assert {line["site"] for line in copies.metrics() if "loss" in line} == {"s0", "s1"}
    hold.unlink()
    run = submitted.finish()
    let_in = submitted.lines.index("A new job with s2 begins after this round.")
    first = min(
        line["round"] for line in metrics(run) if line.get("site") == "s2" and "loss" in line
    )
    rounds = [line for line in submitted.lines if re.match(r"Round \d/6", line)]
    assert [int(line[6]) for line in rounds] == [1, 2, 3, 4, 5, 6]  # every line, once and in order
    before = [line for line in submitted.lines[:let_in] if line in rounds]
    assert first == len(before) + 2  # after the round that was under way
    assert "Begun without s2; missing sites can join later." in submitted.lines
    assert {gap["site"] for gap in gaps(run)} == {2}
    assert all(gap["made_up"] is not None for gap in gaps(run))
    assert any(line.get("site") == "s2" and line.get("loss") for line in metrics(run))


def test_a_member_with_nan_is_refused_and_the_run_continues_without_it(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=3, epochs=1)
    trial.start("server", "s0", "s1")
    trial.start("s2", **run_after_visits(tmp_path, INSERT_NAN))
    run = Submitted(trial, config, tmp_path).finish()
    refused = [line for line in metrics(run) if "failed" in line]
    assert {line["site"] for line in refused} == {"s2"}
    assert all("finite" in line["failed"] or "NaN" in line["failed"] for line in refused)
    last = run.checkpoints.latest()
    assert last is not None
    for member in last.members:
        assert all(bool(torch.isfinite(tensor).all()) for tensor in member.state().values())
        assert member.rounds_done == 2


def test_a_hospitals_own_privacy_policy_filters_its_members(
    trial: Processes, tmp_path: Path
) -> None:
    config = write_config(tmp_path, rounds=1, epochs=1)
    exclude_all = {
        "path": "nvflare.app_common.filters.exclude_vars.ExcludeVars",
        "args": {"exclude_vars": "."},
    }
    scope = {"name": "hospital", "task_result_filters": [exclude_all]}
    policy = {"scopes": [scope], "default_scope": "hospital"}
    (trial.kit("s0").path / "local" / "privacy.json").write_text(json.dumps(policy))
    trial.start("server", *SITES)
    run = Submitted(trial, config, tmp_path).finish()
    last = run.checkpoints.latest()
    assert last is not None
    for member in last.members:
        new = new_member(member.index, config.network, config.seed)
        unchanged = all(
            torch.equal(member.weights[name], new.weights[name]) for name in new.weights
        )
        assert unchanged == (member.last_site == "s0")
        assert member.rounds_done == 1


def test_a_plan_is_made_from_what_the_hospitals_share(trial: Processes, tmp_path: Path) -> None:
    write_config(tmp_path, rounds=1, epochs=1)
    path = tmp_path / "data" / "config.toml"
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if "spacing" not in line
    ]
    text = "\n".join(line for line in lines if "patch_size" not in line)
    path.write_text(text.replace("[engine]", '[engine]\nkind = "flare"'), encoding="utf-8")
    for name in ("s0", "s1"):
        with (trial.kit(name).path / "local" / "site.toml").open("a", encoding="utf-8") as file:
            file.write('share = ["data"]\n')
    trial.start("server", *SITES)
    config, written = fedcross.plan(path, kit=trial.kit("admin").path, device="cpu")
    assert config.preprocessing.spacing_mm == SPACING_MM
    assert "from 4 training and validation cases of 2 sites" in written
    assert "# Without s2." in written


def test_a_bundle_is_calibrated_and_profiled_with_what_the_hospitals_share(
    trial: Processes, tmp_path: Path
) -> None:
    path = write_federation(
        tmp_path / "data",
        sites=len(SITES),
        cases=7,
        split=(1, 5, 1),
        rounds=1,
        local_epochs=0,
        extra='[engine]\nkind = "flare"',
    )
    text = path.read_text(encoding="utf-8")
    alone = path.with_name("alone.toml")  # the same cases on one machine
    alone.write_text(text.replace('kind = "flare"', ""), encoding="utf-8")
    fedcross.train(alone, tmp_path / "run", device="cpu")
    fedcross.export(tmp_path / "run", tmp_path / "bundle")
    for name in ("s0", "s1"):
        with (trial.kit(name).path / "local" / "site.toml").open("a", encoding="utf-8") as file:
            file.write('share = ["calibration", "profile"]\n')
    trial.start("server", *SITES)
    bundle, calibrated, profiled = (
        tmp_path / name for name in ("bundle", "calibrated", "profiled")
    )
    ask = partial(ask_hospitals, trial, path)
    assert "Calibrated with 10 cases of 2 sites" in ask("calibrate", bundle, calibrated)
    assert "Profile of 12 cases of 2 sites" in ask("profile", calibrated, profiled)
    two = ("s0", "s1")
    calibration = fedcross.calibrate(bundle, alone, tmp_path / "one", sites=two, device="cpu")
    profile = fedcross.profile(calibrated, alone, tmp_path / "two", sites=two, device="cpu")
    found = verify_bundle(profiled)
    assert found.profile is not None
    for one, other in ((found.calibration, calibration), (found.profile, profile)):
        np.testing.assert_allclose(
            *(numbers(each.model_dump(mode="json")) for each in (one, other)), rtol=1e-6
        )


def ask_hospitals(trial: Processes, config: Path, command: str, bundle: Path, out: Path) -> str:
    """Run ``fedcross federation COMMAND`` with the coordinator's kit; return what it prints."""
    words = ["federation", command, bundle, config, "--out", out, "--kit", trial.kit("admin").path]
    done = CliRunner().invoke(app, [*map(str, words), "--device", "cpu"])
    assert done.exit_code == 0, (done.output, done.exception, trial.last_output("server"))
    assert "Site s2 does not share" in done.output
    return done.output
