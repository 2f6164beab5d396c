import csv
import html.parser
import json
from pathlib import Path
from typing import Any

import pytest

from fedcross.errors import CheckpointError, ConfigError, OutputError
from fedcross.runtime.reporting import NullReporter
from fedcross.study.compare.compare import compare
from fedcross.study.compare.results import Score, by_case, mean_of, read_run
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder
from tiny_federation import tiny_config

METHODS = "fedcross-ens,fedbn,centralised"


class LogReporter(NullReporter):
    def __init__(self, stop_at: str = "nowhere") -> None:
        self.messages: list[str] = []
        self.trained: list[str] = []
        self._stop_at = stop_at

    def log(self, message: str) -> None:
        self.messages.append(message)
        if message.startswith("Round 1/"):
            self.trained.append(next(m for m in reversed(self.messages) if ": run " in m))
            if self.trained[-1].startswith(self._stop_at):
                raise KeyboardInterrupt


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("federation")
    config = tiny_config(folder, cases=4, split=(1, 1, 2), rounds=1, local_epochs=1)
    preprocessing = config.preprocessing.model_copy(update={"overlap": 0.0})
    return config.model_copy(update={"preprocessing": preprocessing})


@pytest.fixture(scope="module")
def out(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that was interrupted in its third run, and then brought to its end."""
    out = tmp_path_factory.mktemp("comparison") / "out"
    with pytest.raises(KeyboardInterrupt):
        compare(config, out, methods=METHODS, seeds=2, device="cpu", reporter=LogReporter("FedBN"))
    again = LogReporter()
    compare(config, out, methods=METHODS, seeds=2, device="cpu", reporter=again)
    # What was finished is not trained again; the interrupted run, whose only round was saved, only
    # had its test left.
    assert [message.split(",")[0] for message in again.trained] == [
        "FedBN",
        "Centralised",
        "Centralised",
    ]
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_for_every_method_seed_and_site(out: Path) -> None:
    found = rows(out / "comparison.csv")
    assert list(found[0]) == ["method", "seed", "site", "cases", "dice", "hd95_mm", "assd_mm"]
    methods = [
        "FedCrossEns",
        "FedCrossEns, one member alone",
        "FedBN",
        "FedBN, as an ensemble",
        "Centralised",
    ]
    assert sorted((row["method"], row["seed"], row["site"]) for row in found) == sorted(
        (method, seed, site) for method in methods for seed in "78" for site in ("s0", "s1")
    )
    assert {row["cases"] for row in found} == {"2"}


@pytest.mark.parametrize("name", ["comparison.csv", "comparison-cases.csv", "comparison.html"])
def test_a_table_or_page_that_cannot_be_written_is_named(
    config: TrainingConfig, out: Path, name: str
) -> None:
    (out / name).rename(out / "aside")
    (out / name).mkdir()
    try:
        with pytest.raises(OutputError, match=f"^{name} cannot be written: Is a directory"):
            compare(config, out, methods=METHODS, seeds=2, device="cpu")
    finally:
        (out / name).rmdir()
        (out / "aside").rename(out / name)


def test_the_tables_have_the_figures_of_the_runs(out: Path) -> None:
    test = RunFolder(out / "runs" / "fedbn" / "seed-8").read("test.json")["sites"]["s1"]["cases"]
    own = [case["members"][1]["Blob"] for case in test.values()]  # site s1's own model is member 1
    (row,) = [
        row
        for row in rows(out / "comparison.csv")
        if (row["method"], row["seed"], row["site"]) == ("FedBN", "8", "s1")
    ]
    assert float(row["dice"]) == pytest.approx(sum(own) / 2, rel=1e-5)
    surfaces = [case["surface"]["members"][1]["Blob"]["hd95_mm"] for case in test.values()]
    assert float(row["hd95_mm"]) == pytest.approx(sum(surfaces) / 2, rel=1e-5)
    cases = [
        row
        for row in rows(out / "comparison-cases.csv")
        if (row["method"], row["seed"], row["site"]) == ("FedBN", "8", "s1")
    ]
    assert [float(row["dice"]) for row in cases] == pytest.approx(own, rel=1e-5)
    assert [row["case"] for row in cases] == list(test)


def test_a_member_alone_is_the_mean_of_all_members(out: Path) -> None:
    run = read_run(RunFolder(out / "runs" / "fedcross-ens" / "seed-7"), "X", 7)
    test = RunFolder(out / "runs" / "fedcross-ens" / "seed-7").read("test.json")
    for score in run.scores["X, one member alone"]:
        cases = test["sites"][score.site]["cases"][score.case]["members"]
        assert score.dice == pytest.approx((cases[0]["Blob"] + cases[1]["Blob"]) / 2)


def test_the_seeds_change_the_members_but_not_the_splits(out: Path) -> None:
    runs = [RunFolder(path) for path in sorted(out.glob("runs/*/seed-*"))]
    assert len(runs) == 6
    splits = [run.read("splits.json") for run in runs]
    assert all(split == splits[0] for split in splits)
    hashes = {
        json.loads(path.read_text(encoding="utf-8"))["members"][0]["sha256"]
        for path in out.glob("runs/*/*/checkpoints/round_0001/state.json")
    }
    assert len(hashes) == 6


def test_all_methods_cost_the_same_training_and_only_pooling_moves_patients_data(
    out: Path,
) -> None:
    costs = {
        kind: read_run(RunFolder(out / "runs" / kind / "seed-7"), "x", 7).cost
        for kind in ("fedcross-ens", "fedbn", "centralised")
    }
    assert {(cost.epochs, cost.patches) for cost in costs.values()} == {(2, 4)}
    assert costs["centralised"].wire_bytes == 0 < costs["fedbn"].wire_bytes
    # FedBN keeps its normalisation layers, so it moves less than FedCross.
    assert costs["fedbn"].wire_bytes < costs["fedcross-ens"].wire_bytes


class Page(html.parser.HTMLParser):
    """Counts elements, and what would be loaded from elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith(
                ("#", "data:")
            ):
                self.outside.append(f"{tag} {name}={value}")


def test_the_page_loads_no_other_file(out: Path) -> None:
    text = (out / "comparison.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.outside == []
    assert page.tags["svg"] == 6  # an example, curves, three boxes, reliability
    assert page.tags["table"] == 5  # test cases; Dice, HD95 and surface distance by site; cost
    assert "script" not in page.tags
    assert "n = 4 test cases" in text
    assert "smallest possible p is 0.12" in text
    assert "against FedCrossEns" in text
    assert str(out.parent) not in text


def test_finished_runs_of_another_configuration_are_refused(
    config: TrainingConfig, out: Path
) -> None:
    other = config.model_copy(
        update={"training": config.training.model_copy(update={"learning_rate": 0.5})}
    )
    with pytest.raises(
        CheckpointError, match=r"fedcross-ens: .*learning_rate \(was 0.01, is 0.5\)"
    ):
        compare(other, out, methods="fedcross-ens", seeds=1, device="cpu")


def test_a_comparison_without_matplotlib_is_refused_before_it_trains(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="figures need matplotlib"):
        compare(config, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_without_test_cases_the_page_has_a_note(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=1, cases=1, split=(1, 0, 0), rounds=1)
    page = compare(config, tmp_path / "out", methods="local", seeds=1, device="cpu")
    text = page.read_text(encoding="utf-8")
    assert text.count("There are no test cases.") == 3
    assert "nothing to show" in text
    assert len(rows(tmp_path / "out" / "comparison.csv")) == 0


def score(site: str, case: str, **metrics: Any) -> Score:
    values = {"structure": "A", "dice": 0.0, "hd95_mm": 0.0, "assd_mm": 0.0, **metrics}
    return Score(site=site, case=case, **values)


def test_means_are_over_cases_and_cases_over_seeds_and_structures() -> None:
    first = [
        score("a", "1", dice=0.2),
        score("a", "1", dice=0.6, structure="B"),
        score("b", "1", dice=1.0),
        score("b", "1", dice=1.0, structure="B"),
    ]
    second = [score("a", "1", dice=0.8), score("a", "1", dice=0.8, structure="B"), *first[2:]]
    assert mean_of(first, "dice") == pytest.approx(0.7)
    assert mean_of(first, "dice", "a") == pytest.approx(0.4)
    assert by_case([first, second], "dice") == {
        ("a", "1"): pytest.approx(0.6),
        ("b", "1"): pytest.approx(1.0),
    }
