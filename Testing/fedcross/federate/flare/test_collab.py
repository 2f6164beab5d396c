"""The server's and the site's part of a job, with fakes for FLARE's processes and call context."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.collab.api.context import set_call_context
from nvflare.collab.api.exceptions import CollabCallError

from fedcross.errors import ConfigError, DataError
from fedcross.federate.flare import site_connections
from fedcross.federate.flare.collab import FederationSite, answer, do_job
from fedcross.federate.flare.job import Job, build_job, read_job
from fedcross.federate.flare.results import write_result
from fedcross.federate.flare.site_connections import FlareSites
from fedcross.federate.kits.approvals import decide, read_approvals
from fedcross.federate.kits.visit_log import (
    DONE,
    FAILED,
    GIVEN_UP,
    REFUSED,
    VISITS,
    read_entries,
)
from fedcross.federate.remote.site_work import OPEN, TRAIN, VALIDATE, SiteWork, describe_setup
from fedcross.federate.remote.status import RunStatus
from fedcross.federate.remote.visits import SiteError
from fedcross.federate.supervise.server_connection import OUTCOME, Outcome
from fedcross.runtime.plugins import allowed_plugins
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.run.monitor import append_log
from tiny_federation import tiny_config

SILENT = CollabCallError("s0", "collect", TimeoutError())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    extra = '[engine]\nkind = "flare"\nsilence_timeout_s = 60\nvisit_timeout_s = 300'
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=1, extra=extra, local_epochs=2)


class Clock:
    """A clock that advances only by `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


class Proxy:
    """A fake of FLARE's proxy of a site: `collect` gives `answers` in turn and repeats the last one."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.timeouts: list[float] = []

    def __call__(self, timeout: float) -> "Proxy":
        self.timeouts.append(timeout)
        return self

    def begin(self, task: str, members: list[Any], round_index: int) -> int:
        return 1

    def hello(self) -> dict[str, str]:
        return {"torch": "1.0"}

    def collect(self, ticket: int, wait_s: float) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        CLOCK.sleep(25.0 if answer is SILENT else wait_s)
        if answer is SILENT:
            raise SILENT
        return answer


class TestServer:
    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(site_connections, "time", CLOCK)

    def test_the_server_waits_for_an_answer_through_short_silences(
        self, config: TrainingConfig
    ) -> None:
        sites = FlareSites({"s0": Proxy(None, SILENT, SILENT, None, SILENT, {"cases": 3})}, config)
        assert sites("s0", OPEN, [], 0) == {"cases": 3}

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (SILENT, "s0 did not answer for 60 s"),
            (None, "s0 took longer than 300 s"),
            ({"failed": "DataError"}, "s0 failed: DataError"),
        ],
    )
    def test_the_error_of_a_failed_visit_gives_the_reason(
        self, config: TrainingConfig, answer: Any, message: str
    ) -> None:
        with pytest.raises(SiteError, match=message):
            FlareSites({"s0": Proxy(answer)}, config)("s0", OPEN, [], 0)

    def test_a_task_for_a_site_that_is_not_connected_fails_at_once(
        self, config: TrainingConfig
    ) -> None:
        with pytest.raises(SiteError, match="s0 is not connected"):
            FlareSites({}, config)("s0", OPEN, [], 0)

    def test_the_timeout_of_a_large_member_allows_for_the_slowest_line(
        self, config: TrainingConfig
    ) -> None:
        proxy = Proxy({"loss": None})
        member = new_member(0, config.network, config.seed)
        FlareSites({"s0": proxy}, config)("s0", TRAIN, [member], 0)
        size = sum(tensor.nbytes for tensor in member.to_tensors().values())
        assert proxy.timeouts[0] == pytest.approx(60 + size * 8 / 10e6)

    def test_a_site_that_cannot_take_part_is_reported_with_the_type_of_its_error(
        self, config: TrainingConfig
    ) -> None:
        proxy, silent = Proxy(None), Proxy(None)
        proxy.hello = lambda: {"failed": "ConfigError"}  # type: ignore[method-assign]

        def raise_silent() -> dict[str, str]:
            raise SILENT

        silent.hello = raise_silent  # type: ignore[method-assign]
        assert FlareSites({"s0": proxy}, config).fetch_setups() == {"s0": {"failed": "ConfigError"}}
        assert FlareSites({"s0": silent}, config).fetch_setups() == {
            "s0": {"failed": str(SILENT.cause_type)}
        }

    def test_only_sites_of_the_configuration_are_asked_for_their_setup(
        self, config: TrainingConfig
    ) -> None:
        sites = FlareSites({"s0": Proxy(None), "guest": Proxy(None)}, config)
        assert sites.fetch_setups() == {"s0": {"torch": "1.0"}}


@pytest.fixture
def call_as(config: TrainingConfig, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Sets the caller of the site's methods; the site's kit and job are in a folder."""
    job = build_job(config, tmp_path, run_id="first")
    (tmp_path / "local").mkdir()
    settings = f"data = {json.dumps(str(config.data_root))}\ndevice = 'cpu'\n"
    (tmp_path / "local" / "site.toml").write_text(settings)
    workspace = SimpleNamespace(
        get_app_config_dir=lambda job_id: str(job / "app" / "config"),
        get_root_dir=lambda: str(tmp_path),
    )
    fl_ctx = SimpleNamespace(get_job_id=lambda: "job")
    app = SimpleNamespace(name="s0", get_prop=lambda name: fl_ctx)

    def set_caller(caller: str) -> None:
        set_call_context(SimpleNamespace(caller=caller, app=app, workspace=workspace))

    set_caller("server")
    yield set_caller
    set_call_context(None)


class TestSite:
    def test_a_site_sends_its_setup_does_a_task_and_keeps_the_answer(
        self, config: TrainingConfig, call_as: Callable[[str], None]
    ) -> None:
        site = FederationSite()
        assert site.hello() == describe_setup(config)
        ticket = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=ticket, wait_s=30.0) == {"cases": 1}
        assert site.collect(ticket=ticket, wait_s=30.0) == {"cases": 1}
        site.end()

    def test_the_server_gets_no_details_of_wrong_settings(
        self, call_as: Callable[[str], None], tmp_path: Path
    ) -> None:
        (tmp_path / "local" / "site.toml").write_text("data = 'relative'")
        assert FederationSite().hello() == {"failed": "ConfigError"}

    def test_the_settings_of_a_hospital_allow_packages_before_it_sends_its_setup(
        self,
        call_as: Callable[[str], None],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("fedcross.runtime.plugins._allowed", set())
        settings = tmp_path / "local" / "site.toml"
        settings.write_text(settings.read_text() + 'plugins = ["a_package"]\n')
        FederationSite().hello()
        assert allowed_plugins() == ["a-package"]

    def test_another_site_may_not_call(self, call_as: Callable[[str], None]) -> None:
        site = FederationSite()
        call_as("s1")
        for call in (
            site.hello,
            lambda: site.begin(task=OPEN, members=[], round_index=0),
            lambda: site.collect(ticket=0, wait_s=0.0),
        ):
            with pytest.raises(PermissionError, match="only the server may call this, got s1"):
                call()

    def test_a_new_task_ends_the_current_one(
        self, call_as: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, ended = threading.Event(), threading.Event()

        def slow(self: SiteWork, task: str, members: Any, index: int, progress: Any) -> Any:
            if task == OPEN:
                return {"cases": 1}
            begun.set()
            try:
                for _ in range(1000):
                    threading.Event().wait(0.01)
                    progress(1, 2)
            finally:
                ended.set()

        monkeypatch.setattr(SiteWork, "do", slow)
        site = FederationSite()
        site.hello()
        first = site.begin(task=TRAIN, members=[], round_index=0)
        assert begun.wait(10)
        assert site.collect(ticket=first, wait_s=0.01) is None
        second = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=first, wait_s=0.01) == {"failed": "the task was given up"}
        assert site.collect(ticket=second, wait_s=10.0) == {"cases": 1}
        assert ended.is_set()
        site.end()
        given_up, done = read_entries(tmp_path)
        assert (given_up.task, given_up.outcome, given_up.left) == (TRAIN, GIVEN_UP, ())
        assert (done.task, done.outcome) == (OPEN, DONE)

    def test_the_server_and_the_log_get_the_type_of_an_error_and_no_case_name(
        self, call_as: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*arguments: Any) -> Any:
            raise DataError("Case Jane Doe has no label.")

        monkeypatch.setattr(SiteWork, "do", fails)
        site = FederationSite()
        site.hello()
        ticket = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=ticket, wait_s=10.0) == {"failed": "DataError"}
        site.end()
        (entry,) = read_entries(tmp_path)
        assert (entry.outcome, entry.reason) == (FAILED, "DataError")
        assert "Jane" not in (tmp_path / VISITS).read_text(encoding="ascii")

    def test_the_log_of_visits_has_what_was_found_and_what_left(
        self,
        config: TrainingConfig,
        call_as: Callable[[str], None],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(  # the filters need FLARE's own process
            "fedcross.federate.flare.collab.filter_member", lambda before, after, *others: after
        )
        settings = tmp_path / "local" / "site.toml"
        settings.write_text(settings.read_text() + 'share = ["cases"]\n')
        site = FederationSite()
        site.hello()
        member = new_member(0, config.network, config.seed)
        tensors = member.to_tensors()
        for task, members in ((OPEN, []), (TRAIN, [tensors]), (VALIDATE, [tensors])):
            ticket = site.begin(task=task, members=members, round_index=1)
            answer = site.collect(ticket=ticket, wait_s=60.0)
            assert answer is not None
            assert "failed" not in answer
            if task == TRAIN:
                sent = sum(tensor.nbytes for tensor in answer["member"].values())
        site.end()
        opened, trained, validated = read_entries(tmp_path)
        assert (opened.run, opened.cases, opened.left) == ("first", 1, ("case-count",))
        assert (trained.round, trained.cases, trained.left) == (2, 1, ("member",))
        assert trained.bytes_out == sent
        assert trained.loss is not None  # known here, although it was not sent
        assert (validated.round, validated.left) == (None, ("case-count",))
        assert validated.dice is not None

    def test_a_refusal_is_in_the_log_of_visits(
        self, call_as: Callable[[str], None], tmp_path: Path
    ) -> None:
        settings = tmp_path / "local" / "site.toml"
        kept = settings.read_text()
        settings.write_text(f"{kept}configuration = '{'0' * 64}'\n")
        FederationSite().hello()
        FederationSite().hello()  # the server asks again; the same refusal is written once
        settings.write_text(f"{kept}device = 3\n")
        FederationSite().hello()
        assert [(entry.task, entry.outcome, entry.reason) for entry in read_entries(tmp_path)] == [
            ("join", REFUSED, "another-configuration-than-agreed"),
            ("join", REFUSED, "ConfigError"),
        ]

    def test_without_the_approval_of_the_hospital_no_task_is_done(
        self, config: TrainingConfig, call_as: Callable[[str], None], tmp_path: Path
    ) -> None:
        settings = tmp_path / "local" / "site.toml"
        settings.write_text(settings.read_text() + "requires_approval = true\n")
        sha256 = config_sha256(config)
        site = FederationSite()

        def open_cases() -> Any:
            return site.collect(ticket=site.begin(task=OPEN, members=[], round_index=0), wait_s=30)

        assert site.hello() == {"failed": "approval-pending"}
        assert open_cases() == {"failed": "ApprovalError"}
        (waiting,) = read_approvals(tmp_path)
        assert (waiting.sha256, waiting.purposes) == (sha256, ("training",))
        decide(tmp_path, sha256[:12], "approved")
        assert site.hello() == describe_setup(config)
        assert open_cases() == {"cases": 1}
        decide(tmp_path, sha256[:12], "rejected")  # also while a run is under way
        assert open_cases() == {"failed": "ApprovalError"}
        assert site.hello() == {"failed": "approval-rejected"}
        site.end()
        assert [(entry.task, entry.outcome, entry.reason) for entry in read_entries(tmp_path)] == [
            ("join", REFUSED, "approval-pending"),
            (OPEN, REFUSED, "approval-pending"),
            (OPEN, DONE, ""),
            (OPEN, REFUSED, "approval-rejected"),  # the same refusal again is written once
        ]

    def test_a_log_that_cannot_be_written_ends_no_task(
        self, call_as: Callable[[str], None], tmp_path: Path
    ) -> None:
        (tmp_path / VISITS).mkdir()
        site = FederationSite()
        site.hello()
        ticket = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=ticket, wait_s=30.0) == {"cases": 1}
        site.end()


def test_only_the_result_of_a_finished_run_contains_checkpoints(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "round_0001").mkdir(parents=True)
    for name in ("config.json", "run.lock", ".partial-0-1-config.json"):
        (run / name).touch()
    status = RunStatus(rounds=3)
    write_result(run, tmp_path / "paused", "paused", status)
    write_result(run, tmp_path / "finished", "finished", status)
    write_result(tmp_path / "none", tmp_path / "refused", "refused", status)
    names = {
        folder: {path.name for path in (tmp_path / folder).iterdir()}
        for folder in ("paused", "finished", "refused")
    }
    assert names["paused"] == {"config.json", OUTCOME}
    assert names["finished"] == {"config.json", OUTCOME, "checkpoints"}
    assert names["refused"] == {OUTCOME}
    outcome = Outcome(**json.loads((tmp_path / "paused" / OUTCOME).read_text()))
    assert outcome == Outcome("paused", "Waiting for the sites.", 0, 3)


def test_the_answer_about_a_run_has_its_progress_and_what_is_new_in_its_files(
    tmp_path: Path,
) -> None:
    status = RunStatus(rounds=3)
    status.stage("read", "Waiting for the sites to read their cases")
    append_log(tmp_path, "One")
    first = answer(status, tmp_path, {"known": {}})
    assert first["message"] == "Waiting for the sites to read their cases"
    assert (first["rounds_done"], first["rounds"]) == (0, 3)
    assert first["files"]["train.log"]["text"].endswith("  One\n")
    assert answer(status, tmp_path, None)["files"] == first["files"]  # an empty request has no data


def test_a_job_without_a_run_also_keeps_its_lines_in_a_file(
    config: TrainingConfig, tmp_path: Path
) -> None:
    status = RunStatus(rounds=3)
    job = Job("plan", config, plans=True)
    proxy = Proxy({"figures": None})
    proxy.hello = lambda: describe_setup(config)  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="No site sent figures"):
        do_job(job, tmp_path / "outcome", FlareSites({"s0": proxy}, config), status)
    log = (tmp_path / "outcome" / "train.log").read_text(encoding="utf-8")
    assert "Site s0 does not share the figures" in log


@pytest.mark.parametrize(("wanted", "needed"), [(None, 2), (1, 1)])
def test_a_job_names_the_number_of_sites_that_it_needs_and_goes_on_with_fewer(
    small: TrainingConfig, tmp_path: Path, wanted: int | None, needed: int
) -> None:
    job = build_job(small, tmp_path, run_id="run", min_sites=wanted)
    assert read_job(job / "app" / "config").min_sites == needed
    assert json.loads((job / "meta.json").read_text())["min_clients"] == 1
