"""The two sides of a job without FLARE's processes: proxies and call context are stood in for."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.collab.api.context import set_call_context
from nvflare.collab.api.exceptions import CollabCallError

from fedcross.errors import DataError
from fedcross.federate.flare import collab
from fedcross.federate.flare.collab import FederationSite, FlareSites, leave
from fedcross.federate.flare.job import build_job
from fedcross.federate.remote.run import Standing
from fedcross.federate.remote.site_work import OPEN, TRAIN, SiteWork, credentials
from fedcross.federate.remote.visits import SiteError
from fedcross.federate.supervise.coordinator import OUTCOME, Outcome
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig
from tiny_federation import tiny_config

SILENT = CollabCallError("s0", "collect", TimeoutError())


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    extra = '[engine]\nkind = "flare"\nsilence_timeout_s = 60\nvisit_timeout_s = 300'
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=1, extra=extra, local_epochs=2)


class Clock:
    """Time that passes by being slept through."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


class Proxy:
    """A site as FLARE presents it; `answers` are what `collect` gives, the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.patience: list[float] = []

    def __call__(self, timeout: float) -> "Proxy":
        self.patience.append(timeout)
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


class TestTheServersSide:
    @pytest.fixture(autouse=True)
    def _clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(collab, "time", CLOCK)

    def test_an_answer_is_waited_for_and_a_short_silence_borne(
        self, config: TrainingConfig
    ) -> None:
        sites = FlareSites({"s0": Proxy(None, SILENT, SILENT, None, SILENT, {"cases": 3})}, config)
        assert sites("s0", OPEN, [], 0) == {"cases": 3}

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (SILENT, "s0 was not heard of for 60 s"),
            (None, "s0 took longer than 300 s"),
            ({"failed": "DataError"}, "s0 failed: DataError"),
        ],
    )
    def test_a_visit_that_fails_says_why(
        self, config: TrainingConfig, answer: Any, told: str
    ) -> None:
        with pytest.raises(SiteError, match=told):
            FlareSites({"s0": Proxy(answer)}, config)("s0", OPEN, [], 0)

    def test_a_site_that_is_not_there_fails_at_once(self, config: TrainingConfig) -> None:
        with pytest.raises(SiteError, match="s0 is not connected"):
            FlareSites({}, config)("s0", OPEN, [], 0)

    def test_a_large_member_is_given_the_time_that_a_slow_line_needs(
        self, config: TrainingConfig
    ) -> None:
        proxy = Proxy({"loss": None})
        member = new_member(0, config.network, config.seed)
        FlareSites({"s0": proxy}, config)("s0", TRAIN, [member], 0)
        size = sum(tensor.nbytes for tensor in member.to_tensors().values())
        assert proxy.patience[0] == pytest.approx(60 + size * 8 / 10e6)

    def test_a_site_that_cannot_take_part_is_left_out(self, config: TrainingConfig) -> None:
        proxy = Proxy(None)
        proxy.hello = lambda: {"failed": "ConfigError"}  # type: ignore[method-assign]
        assert FlareSites({"s0": proxy}, config).greet() == {}

    def test_only_the_configurations_sites_are_greeted(self, config: TrainingConfig) -> None:
        sites = FlareSites({"s0": Proxy(None), "guest": Proxy(None)}, config)
        assert sites.greet() == {"s0": {"torch": "1.0"}}


@pytest.fixture
def called(config: TrainingConfig, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Says who calls the site; the site's kit and job lie in a folder."""
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

    def by(caller: str) -> None:
        set_call_context(SimpleNamespace(caller=caller, app=app, workspace=workspace))

    by("server")
    yield by
    set_call_context(None)


class TestTheSitesSide:
    def test_it_says_hello_works_and_keeps_its_answer(
        self, config: TrainingConfig, called: Callable[[str], None]
    ) -> None:
        site = FederationSite()
        assert site.hello() == credentials(config)
        ticket = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=ticket, wait_s=30.0) == {"cases": 1}
        assert site.collect(ticket=ticket, wait_s=30.0) == {"cases": 1}
        site.end()

    def test_wrong_settings_are_told_to_the_hospital_only(
        self, called: Callable[[str], None], tmp_path: Path
    ) -> None:
        (tmp_path / "local" / "site.toml").write_text("data = 'relative'")
        assert FederationSite().hello() == {"failed": "ConfigError"}

    def test_another_site_may_not_ask(self, called: Callable[[str], None]) -> None:
        site = FederationSite()
        called("s1")
        for ask in (
            site.hello,
            lambda: site.begin(task=OPEN, members=[], round_index=0),
            lambda: site.collect(ticket=0, wait_s=0.0),
        ):
            with pytest.raises(PermissionError, match="only the server may ask, got s1"):
                ask()

    def test_a_new_task_ends_the_one_under_way(
        self, called: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun, gave_up = threading.Event(), threading.Event()

        def slow(self: SiteWork, task: str, members: Any, index: int, progress: Any) -> Any:
            if task == OPEN:
                return {"cases": 1}
            begun.set()
            try:
                for _ in range(1000):
                    threading.Event().wait(0.01)
                    progress(1, 2)
            finally:
                gave_up.set()

        monkeypatch.setattr(SiteWork, "do", slow)
        site = FederationSite()
        site.hello()
        first = site.begin(task=TRAIN, members=[], round_index=0)
        assert begun.wait(10)
        assert site.collect(ticket=first, wait_s=0.01) is None
        second = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=first, wait_s=0.01) == {"failed": "the task was given up"}
        assert site.collect(ticket=second, wait_s=10.0) == {"cases": 1}
        assert gave_up.is_set()
        site.end()

    def test_the_server_hears_the_kind_of_an_error_and_no_case(
        self, called: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*arguments: Any) -> Any:
            raise DataError("Case Jane Doe has no label.")

        monkeypatch.setattr(SiteWork, "do", fails)
        site = FederationSite()
        site.hello()
        ticket = site.begin(task=OPEN, members=[], round_index=0)
        assert site.collect(ticket=ticket, wait_s=10.0) == {"failed": "DataError"}
        site.end()


def test_what_goes_home_has_models_only_when_the_run_is_finished(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "checkpoints" / "round_0001").mkdir(parents=True)
    for name in ("config.json", "run.lock", ".partial-0-1-config.json"):
        (run / name).touch()
    standing = Standing(rounds=3)
    leave(run, tmp_path / "paused", "paused", standing)
    leave(run, tmp_path / "finished", "finished", standing)
    leave(tmp_path / "none", tmp_path / "refused", "refused", standing)
    names = {
        folder: {path.name for path in (tmp_path / folder).iterdir()}
        for folder in ("paused", "finished", "refused")
    }
    assert names["paused"] == {"config.json", OUTCOME}
    assert names["finished"] == {"config.json", OUTCOME, "checkpoints"}
    assert names["refused"] == {OUTCOME}
    outcome = Outcome(**json.loads((tmp_path / "paused" / OUTCOME).read_text()))
    assert outcome == Outcome("paused", "Waiting for the sites.", 0, 3)
