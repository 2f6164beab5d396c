"""What commands print at their end: what came out, and the next command."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from fedcross.cli import app
from fedcross.commands.outcome import (
    _test_line,
    calibrate_lines,
    evaluate_lines,
    export_lines,
    next_step,
)
from fedcross.model.bundle import open_bundle
from fedcross.model.calibration import Calibration
from fedcross.study.compare.ranking import describe_ranking
from fedcross.study.compare.results import Score
from tiny_federation import write_federation


def lines_of(*words: object) -> list[str]:
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_a_run_tells_its_kept_round_its_test_dice_and_how_it_becomes_a_bundle(
    tmp_path: Path,
) -> None:
    config, run, bundle = write_federation(tmp_path), tmp_path / "a run", tmp_path / "bundle"
    kept, tested, following = lines_of("train", config, "--out", run)[-3:]
    test = json.loads((run / "test.json").read_text())
    assert kept == f"Trained: {run}. Kept: round {test['round']} of 2 (training.keep = best)."
    assert tested.startswith(
        f"Test Dice {test['mean']['ensemble']:.3f}, mean of 2 cases of 2 sites; "
    )
    assert following == f"Next: fedcross export '{run}' BUNDLE"
    exported = lines_of("export", run, bundle)
    assert exported[0].startswith(f"Exported 2 members: {bundle} (")
    assert f" Test Dice {test['mean']['ensemble']:.3f}." in exported[0]
    assert exported[-2:] == [
        f"Next: fedcross segment --bundle {bundle} --image VOLUME --out RESULT",
        "Next, with labelled cases that trained no member: fedcross calibrate "
        f"{bundle} --data CONFIG --out CALIBRATED",
    ]
    with open_bundle(bundle) as opened:
        assert export_lines(opened, Path("kits/admin"))[-1].endswith(
            f"fedcross federation calibrate {bundle} CONFIG --kit kits/admin --out CALIBRATED"
        )


def test_the_lowest_site_is_named() -> None:
    sites = {
        "north": {"ensemble": {"a": 0.9, "b": 0.8}, "cases": {"1": {}, "2": {}}},
        "south": {"ensemble": {"a": 0.7}, "cases": {"1": {}}},
    }
    line = _test_line({"mean": {"ensemble": 0.8125}, "sites": sites})
    assert line == "Test Dice 0.812, mean of 3 cases of 2 sites; lowest at south, 0.700."
    one = _test_line({"mean": {"ensemble": 0.7}, "sites": {"south": sites["south"]}})
    assert one == "Test Dice 0.700, mean of 1 case."
    none = _test_line({"mean": None, "sites": {}})
    assert none == "There are no test cases, so there is no test Dice."


def test_a_calibration_tells_what_it_is_for_and_names_the_profile() -> None:
    calibration = Calibration.model_validate(
        {
            "cases": 30,
            "sites": 1,
            "structures": [
                {
                    "name": "Liver",
                    "cases": 30,
                    "sites": 1,
                    "volume": {"coverage": 0.9, "below": 1.0, "above": 2.0},
                },
                {"name": "Spleen", "cases": 2, "sites": 1},
            ],
        }
    )
    assert calibrate_lines(calibration, Path("c"), Path("my data.toml")) == [
        "Calibrated with 30 cases of 1 site: c",
        "Liver: volume interval 90 %",
        "Spleen: too few cases",
        "Next, so that unfamiliar scans are noticed: fedcross profile c --data 'my data.toml' --out "
        "PROFILED",
    ]


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_an_evaluation_tells_the_dice_and_offers_the_calibration_that_is_missing(
    is_calibrated: bool,
) -> None:
    def accuracy(dice: float) -> Any:
        return SimpleNamespace(dice=dice, cases=4)

    structure = SimpleNamespace(
        predictors={"ensemble": accuracy(0.85)},
        sites={"north": accuracy(0.9), "south": accuracy(0.8)},
        rankings={"agreement": None, **({"predicted Dice": None} if is_calibrated else {})},
    )
    evaluation: Any = SimpleNamespace(structures={"Liver": structure}, members=2)
    lines = evaluate_lines(evaluation, Path("b"), Path("out/evaluation.html"))
    assert lines[:2] == [
        "Liver: Dice 0.850, mean of 4 cases; lowest at south, 0.800.",
        "Evaluated: out/evaluation.html",
    ]
    assert len(lines) == (2 if is_calibrated else 3)
    if not is_calibrated:
        assert lines[2].endswith(": fedcross calibrate b --data CONFIG --out CALIBRATED")
    lone: Any = SimpleNamespace(structures={"Liver": structure}, members=1)
    assert len(evaluate_lines(lone, Path("b"), Path("out/evaluation.html"))) == 2


def test_a_comparison_ranks_the_methods_and_names_the_run_to_export() -> None:
    def run(label: str, seed: int, *dices: float) -> Any:
        scores = [Score("s", str(k), "x", dice, 1.0, 1.0) for k, dice in enumerate(dices)]
        return SimpleNamespace(seed=seed, scores={label: scores})

    variants: Any = [
        SimpleNamespace(label="FedAvg", slug="fedavg"),
        SimpleNamespace(label="FedProx (mu 0.1)", slug="fedprox-mu-0.1"),
    ]
    runs = {
        "FedAvg": [run("FedAvg", 3, 0.5, 0.7), run("FedAvg", 4, 0.8, 0.8)],
        "FedProx (mu 0.1)": [run("FedProx (mu 0.1)", 3, 0.9, 0.8)],
    }
    ranking, following = describe_ranking(variants, runs, Path("out/runs"))
    assert ranking.startswith(
        "Test Dice, the highest first: FedProx (mu 0.1) 0.850, FedAvg 0.700. "
    )
    assert following == "Next: fedcross export out/runs/fedprox-mu-0.1/seed-3 BUNDLE"
    assert describe_ranking(variants[:1], {"FedAvg": [run("FedAvg", 3)]}, Path("out/runs")) == []


def test_the_next_command_can_be_pasted_into_a_shell() -> None:
    assert next_step("export", Path("my run"), "$B") == "Next: fedcross export 'my run' '$B'"


def test_an_interrupted_comparison_tells_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedcross.study.compare.compare.compare", interrupted)
    words = ["compare", str(write_federation(tmp_path)), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert "Finished rounds are kept. The same command goes on." in done.output
