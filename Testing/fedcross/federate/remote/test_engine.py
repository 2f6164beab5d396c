import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.local.engine import run_local
from fedcross.federate.remote.engine import run_remote
from fedcross.federate.remote.setups import check_same_setup
from fedcross.federate.remote.site_work import SiteWork, describe_setup
from fedcross.federate.remote.status import RunStatus
from fedcross.model.bundle import verify_bundle
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.run.checkpoint import Best
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from remote_sites import InProcessSites, keep_unfiltered
from tiny_federation import tiny_config

Tensors = dict[str, torch.Tensor]
EVERY = {  # what a method needs to be itself in a few rounds
    "fedcross-ens": {},
    "fedcross": {},
    "fedavg": {},
    "fedbn": {},
    "local": {},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=2, rounds=2)


def variant(config: TrainingConfig, **method: Any) -> TrainingConfig:
    values = config.model_dump(mode="json")
    changed = TrainingConfig.model_validate({**values, "method": {**values["method"], **method}})
    return changed.model_copy(update={"data_root": config.data_root})


def members(run: Path) -> list[Tensors]:
    checkpoint = RunFolder(run).checkpoints.latest()
    assert checkpoint is not None
    return [member.to_tensors() for member in checkpoint.members]


def same(one: list[Tensors], other: list[Tensors]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(one, other, strict=True)
    )


def remotely(config: TrainingConfig, run: Path, **sites: Any) -> None:
    run_remote(config, run, InProcessSites(config, **sites), RunStatus(config.method.rounds))


def metrics(run: Path) -> list[dict[str, Any]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("kind", EVERY)
def test_remote_sites_train_the_same_members_as_the_local_engine(
    config: TrainingConfig, tmp_path: Path, kind: str
) -> None:
    here = variant(config, kind=kind, **EVERY[kind])
    run_local(here, tmp_path / "local", device="cpu")
    remotely(here, tmp_path / "remote")
    assert same(members(tmp_path / "local"), members(tmp_path / "remote"))
    local, remote = (
        json.loads((tmp_path / n / "test.json").read_text()) for n in ("local", "remote")
    )
    assert remote["round"] == local["round"]
    assert remote["mean"]["ensemble"] == pytest.approx(local["mean"]["ensemble"])
    assert remote["mean"]["members"] == pytest.approx(local["mean"]["members"])
    for site in ("s0", "s1"):
        assert remote["sites"][site]["ensemble"] == local["sites"][site]["ensemble"]


def test_the_run_on_the_server_is_exported_and_names_no_case(
    config: TrainingConfig, tmp_path: Path
) -> None:
    remotely(config, tmp_path / "run")
    bundle = export_run(tmp_path / "run", tmp_path / "bundle")
    verify_bundle(tmp_path / "bundle")
    assert len(bundle.manifest.members) == 2
    written = [
        path for path in (tmp_path / "run").rglob("*") if path.suffix in (".json", ".jsonl", ".log")
    ]
    assert len(written) >= 6
    assert not [path.name for path in written if "case-" in path.read_text(encoding="utf-8")]


class ProgressStatus(RunStatus):
    def __init__(self, rounds: int) -> None:
        super().__init__(rounds)
        self.progress_calls: list[tuple[int, int]] = []

    def progress(self, done: int, total: int, stage: str) -> None:
        self.progress_calls.append((done, total))


def test_rounds_count_as_progress_so_the_status_has_the_remaining_time(
    config: TrainingConfig, tmp_path: Path
) -> None:
    status = ProgressStatus(config.method.rounds)
    run_remote(config, tmp_path / "run", InProcessSites(config), status)
    assert status.progress_calls == [(0, 2), (1, 2), (2, 2)]


@pytest.fixture(scope="module")
def gappy(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which site s1 was away in round 1, when a member was due there."""
    run = tmp_path_factory.mktemp("runs") / "run"
    remotely(config, run, fails=lambda *visit: visit == ("s1", "train", 0))
    return run


class TestASiteThatFails:
    def test_the_member_keeps_its_state_and_makes_up_the_visit_at_the_end_of_the_block(
        self, gappy: Path
    ) -> None:
        lines = metrics(gappy)
        (failed,) = [line for line in lines if "failed" in line]
        (made_up,) = [line for line in lines if "makes_up" in line]
        assert (failed["round"], failed["site"]) == (1, "s1")
        assert failed["failed"] == "Site s1 did not answer for 60 s."
        assert (made_up["round"], made_up["makes_up"], made_up["site"]) == (2, 1, "s1")
        assert made_up["member"] == failed["member"]
        assert [int(tensors["rounds_done"]) for tensors in members(gappy)] == [2, 2]

    def test_the_gap_is_recorded(self, gappy: Path) -> None:
        (gap,) = json.loads((gappy / "gaps.json").read_text())["gaps"]
        assert (gap["round"], gap["made_up"], gap["site"]) == (1, 2, 1)

    def test_a_restarted_server_ends_with_the_same_members(
        self, config: TrainingConfig, gappy: Path, tmp_path: Path
    ) -> None:
        class DiedError(RuntimeError):
            pass

        def away(site: str, task: str, index: int) -> bool:
            if (task, index) == ("train", 1):
                raise DiedError
            return (site, task, index) == ("s1", "train", 0)

        with pytest.raises(DiedError):
            remotely(config, tmp_path / "run", fails=away)
        assert len(RunFolder(tmp_path / "run").checkpoints.rounds()) == 1
        remotely(config, tmp_path / "run")
        assert same(members(tmp_path / "run"), members(gappy))


def test_a_failed_visit_that_makes_up_another_leaves_the_gap_outstanding(
    config: TrainingConfig, tmp_path: Path
) -> None:
    remotely(config, tmp_path, fails=lambda site, task, index: site == "s1" and task == "train")
    gaps = json.loads((tmp_path / "gaps.json").read_text())["gaps"]
    assert [(gap["round"], gap["made_up"]) for gap in gaps] == [(1, None), (2, None)]
    assert [int(tensors["rounds_done"]) for tensors in members(tmp_path)] == [1, 1]


def test_a_member_with_wrong_values_is_refused_and_continues_from_its_last_valid_state(
    config: TrainingConfig, tmp_path: Path
) -> None:
    poisoned: list[int] = []

    def poison(site: str, task: str, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        if (site, task) == ("s1", "train") and not poisoned:
            poisoned.append(index)
            name = next(iter(answer["member"]))
            answer["member"][name] = answer["member"][name] * torch.nan
        return answer

    remotely(config, tmp_path, changes=poison)
    (failed,) = [line for line in metrics(tmp_path) if "failed" in line]
    assert failed["failed"].startswith(f"Site s1 sent back member {failed['member']} with NaN")
    assert failed["failed"] in (tmp_path / "train.log").read_text(encoding="utf-8")
    assert all(torch.isfinite(t).all() for tensors in members(tmp_path) for t in tensors.values())


def test_a_pause_takes_effect_after_the_current_round_and_loses_no_round(
    config: TrainingConfig, tmp_path: Path
) -> None:
    status = RunStatus(config.method.rounds)

    def at_once(site: str, task: str, index: int) -> bool:
        status.request_pause()
        return False

    with pytest.raises(KeyboardInterrupt):
        run_remote(config, tmp_path / "run", InProcessSites(config, fails=at_once), status)
    assert status.as_record()["rounds_done"] == 1
    assert status.as_record()["message"].startswith("Round 1/2: loss ")
    remotely(config, tmp_path / "run")
    remotely(config, tmp_path / "straight")
    assert same(members(tmp_path / "run"), members(tmp_path / "straight"))


def test_a_site_can_share_no_figure(config: TrainingConfig, tmp_path: Path) -> None:
    remotely(config, tmp_path, share=())
    assert all(line["loss"] is None for line in metrics(tmp_path))
    assert json.loads((tmp_path / "test.json").read_text()) == {
        "round": 2,
        "mean": None,
        "sites": {},
    }


def test_steps_that_a_site_skipped_are_in_the_metrics_and_in_the_log(
    config: TrainingConfig, tmp_path: Path
) -> None:
    def change_answer(site: str, task: str, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        skipped = int(site == "s1" and index == 0)
        return {**answer, "skipped": skipped} if task == "train" else answer

    remotely(config, tmp_path, changes=change_answer)
    skipped = {line["round"]: line["site"] for line in metrics(tmp_path) if "skipped" in line}
    assert skipped == {1: "s1"}
    log = (tmp_path / "train.log").read_text(encoding="utf-8")
    assert "Round 1: 1 step of member" in log


def test_rounds_are_compared_over_the_sites_that_validated_both(
    config: TrainingConfig, tmp_path: Path
) -> None:
    # s0, s1 in the first and the second round; alone, the second one's mean would be the higher.
    dices = {"s0": [0.875, 0.75], "s1": [0.25]}

    def away(site: str, task: str, index: int) -> bool:
        return task == "validate" and not dices[site]

    def change_answer(site: str, task: str, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "dice": dices[site].pop(0)} if task == "validate" else answer

    remotely(config, tmp_path, fails=away, changes=change_answer)
    last = RunFolder(tmp_path).checkpoints.latest()
    assert last is not None
    assert last.validation == {"mean": 0.75, "s0": 0.75}
    assert last.best == Best(1, 0.5625, {"s0": 0.875, "s1": 0.25})
    assert json.loads((tmp_path / "test.json").read_text())["round"] == 1
    assert json.loads((tmp_path / "status.json").read_text())["best_validation"] == {
        "round": 1,
        "dice": 0.5625,
    }


def test_a_remote_run_ends_early_and_is_finished(config: TrainingConfig, tmp_path: Path) -> None:
    longer = variant(config, rounds=6)
    settings = longer.training.model_copy(update={"patience": 1})
    longer = longer.model_copy(update={"training": settings})
    dices = {"s0": [0.75, 0.5], "s1": [0.75, 0.5]}

    def change_answer(site: str, task: str, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "dice": dices[site].pop(0)} if task == "validate" else answer

    remotely(longer, tmp_path, changes=change_answer)
    assert json.loads((tmp_path / "test.json").read_text())["round"] == 1
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["stopped_early"]) == ("finished", 2)
    before = metrics(tmp_path)
    remotely(longer, tmp_path, changes=change_answer)
    assert metrics(tmp_path) == before


def test_a_remote_run_goes_on_with_a_site_more(tmp_path: Path) -> None:
    remotely(tiny_config(tmp_path, sites=2, rounds=2), tmp_path / "run")
    before = json.loads((tmp_path / "run" / "schedule.json").read_text())["schedule"]
    larger = tiny_config(tmp_path, sites=3, rounds=5)
    remotely(larger, tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "schedule.json").read_text())
    assert plan["schedule"][:2] == before
    assert [sorted(row[k] for row in plan["schedule"][2:]) for k in range(2)] == [[0, 1, 2]] * 2
    visits = [
        (line["round"], line["site"]) for line in metrics(tmp_path / "run") if "member" in line
    ]
    assert visits == [
        (number, f"s{site}") for number, row in enumerate(plan["schedule"], 1) for site in row
    ]
    assert len(members(tmp_path / "run")) == 2
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())
    assert recorded["configuration"]["method"]["members"] == 2
    remotely(larger, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == recorded


def test_only_the_member_and_the_listed_figures_leave_a_site(config: TrainingConfig) -> None:
    listed = config.model_copy(
        update={"engine": config.engine.model_copy(update={"figures": ("loss",)})}
    )
    answers: dict[str, dict[str, Any]] = {}

    def keep(site: str, task: str, index: int, answer: dict[str, Any]) -> dict[str, Any]:
        answers[task] = answer
        return answer

    sites = InProcessSites(listed, changes=keep)
    member = new_member(0, config.network, config.seed)
    for task in ("open", "train", "validate", "test"):
        sites("s0", task, [member], 0)
    assert answers["open"] == {"cases": None}
    assert answers["train"].keys() == {"member", "loss", "skipped"}
    assert answers["train"]["loss"] > 0
    assert answers["validate"] == {"dice": None, "cases": None}
    assert answers["test"] == {"figures": None, "cases": None}


def test_averaging_by_cases_needs_the_numbers_of_cases(
    config: TrainingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="Site s0 does not share its number of cases"):
        remotely(variant(config, kind="fedavg"), tmp_path / "cases", share=("loss",))
    equal = variant(config, kind="fedavg", weighting="equal", rounds=1)
    remotely(equal, tmp_path / "equal", share=("loss",))


class TestSitesThatDiffer:
    @pytest.mark.parametrize("what", ["fedcross", "torch", "the configuration"])
    def test_a_difference_is_refused_with_both_values(
        self, config: TrainingConfig, what: str
    ) -> None:
        own = describe_setup(config)
        with pytest.raises(
            ConfigError, match=re.escape(f"in {what}: other there, {own[what]} here")
        ):
            check_same_setup(own, {"a": own, "b": {**own, what: "other"}})

    def test_a_server_without_a_gpu_accepts_sites_with_one(
        self, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def setup_with(build: str) -> dict[str, str]:
            versions = {"fedcross": "0.1.0", "torch": build}
            monkeypatch.setattr(
                "fedcross.federate.remote.site_work.package_versions", lambda: versions
            )
            return describe_setup(config)

        server = setup_with("2.13.0+cpu")
        check_same_setup(server, {name: setup_with(name) for name in ("2.13.0", "2.13.0+cu126")})
        with pytest.raises(ConfigError, match=r"2\.12\.1 there, 2\.13\.0 here"):
            check_same_setup(server, {"a": setup_with("2.12.1+cu126")})

    def test_nothing_is_trained(self, config: TrainingConfig, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"Site s1 differs .* torch: 1\.0 there"):
            remotely(config, tmp_path / "run", others={"s1": {"torch": "1.0"}})
        assert RunFolder(tmp_path / "run").checkpoints.rounds() == []

    def test_a_federation_without_a_site_is_refused(self, config: TrainingConfig) -> None:
        with pytest.raises(ConfigError, match="No site"):
            check_same_setup(describe_setup(config), {})

    def test_a_site_works_only_with_the_configuration_that_it_agreed_to(
        self, config: TrainingConfig
    ) -> None:
        sha256 = config_sha256(config)
        settings = SiteSettings(data=config.data_root, device="cpu", configuration=sha256)
        SiteWork(config, "s0", settings, keep_unfiltered)
        with pytest.raises(ConfigError, match=f"agreed only to the configuration {sha256}"):
            SiteWork(variant(config, rounds=9), "s0", settings, keep_unfiltered)


def test_a_site_that_is_not_in_the_configuration_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="no site elsewhere"):
        SiteWork(
            config, "elsewhere", SiteSettings(data=config.data_root, device="cpu"), keep_unfiltered
        )


class TestASiteThatNeverTrains:
    def test_a_run_does_not_begin_without_a_site_whose_cases_cannot_be_read(
        self, config: TrainingConfig, tmp_path: Path
    ) -> None:
        def cannot_read(site: str, task: str, index: int) -> bool:
            return (site, task) == ("s1", "open")

        with pytest.raises(ConfigError, match=r"Site s1 did not answer.*1 of 2 sites can train"):
            remotely(config, tmp_path / "run", fails=cannot_read)
        assert RunFolder(tmp_path / "run").checkpoints.rounds() == []
        remotely(config, tmp_path / "run")  # the same run, after the site was mended
        assert len(RunFolder(tmp_path / "run").checkpoints.rounds()) > 0

    def test_the_bundle_states_the_sites_that_trained(
        self, config: TrainingConfig, tmp_path: Path
    ) -> None:
        remotely(
            config, tmp_path / "run", fails=lambda site, task, _: (site, task) == ("s1", "train")
        )
        manifest = export_run(tmp_path / "run", tmp_path / "bundle").manifest
        assert manifest.sites == ("s0",)
        assert manifest.schedule is None
        assert "at 1 of 2 sites (without s1)" in manifest.provenance.source
        card = (tmp_path / "bundle" / "docs" / "README.md").read_text(encoding="utf-8")
        assert "models trained across 1 site without averaging" in card
        verify_bundle(tmp_path / "bundle")
