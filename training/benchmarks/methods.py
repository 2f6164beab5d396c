"""Compare all methods on two federations whose sites differ, to measure the ranking of the paper.

    python training/benchmarks/methods.py phantom --out FOLDER
    python training/benchmarks/methods.py hippocampus --data MSD_HIPPOCAMPUS --out FOLDER

``phantom`` needs no download: four synthetic hospitals that differ in contrast, noise, bias field,
spacing, field of view, anatomy and annotation style (``--shift``). ``hippocampus`` takes 24 cases of
the Medical Segmentation Decathlon's Task04 (``images/`` and ``labels/``) and makes four hospitals of
them: one unchanged, one with inverted images, one with noise, and one whose label maps are one voxel
larger.

Each takes about an hour on one core. Finished runs in FOLDER are kept and an interrupted run is resumed.
``FOLDER/report`` gets the tables (CSV and Markdown), the page, a figure and the facts of the machine.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import torch
from federations import CONFIG, write_hippocampus, write_phantom
from machine_facts import record_facts

from fedcross.commands.console import ConsoleReporter
from fedcross.federate.local.engine import read_data
from fedcross.runtime.reporting import NullReporter
from fedcross.study.compare.compare import CASES, PAGE, RUNS, TABLE, compare
from fedcross.study.compare.figures import box_plots
from fedcross.study.compare.significance import Spread, holm, over_seeds, paired_test
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.evaluation.testing import evaluate_test
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import TEST, RunFolder

METHODS = (
    "fedcross-ens,fedavg,centralised,fedcross,local,fedbn,fedprox,"
    "fedcross-ens:distillation=0.5,fedcross-ens:mu=0.01,fedcross-ens:average=soup"
)
REFERENCE = "FedCrossEns"
Row = dict[str, str]


def markdown(out: Path) -> str:
    """Return the comparison as a table: a row per way to predict, means and deviations."""
    with (out / CASES).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    metrics = ("dice", "hd95_mm", "assd_mm")
    sites = list(dict.fromkeys(row["site"] for row in rows))
    by_method = _by_method(rows)
    cases = {name: _by_case(found) for name, found in by_method.items()}
    tests = {n: paired_test(c, cases[REFERENCE]) for n, c in cases.items() if n != REFERENCE}
    corrected = holm({name: test.p for name, test in tests.items()})
    heading = ["method", "Dice", "HD95, mm", "ASSD, mm", *(f"Dice {site}" for site in sites)]
    heading += [f"Dice minus {REFERENCE}'s", "p (Holm)"]
    lines = [" | ".join(heading), " | ".join("---" for _ in heading)]
    for name, found in by_method.items():
        cells = [name, *(_format_spread(_over_seeds(found, metric)) for metric in metrics)]
        for site in sites:
            cells.append(
                _format_spread(_over_seeds([r for r in found if r["site"] == site], "dice"))
            )
        test = tests.get(name)
        cells += ["", ""] if test is None else [f"{test.difference:+.3f}", _p(corrected[name])]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def boxes(out: Path) -> str:
    """Return a box plot of the test cases' Dice for every method, as SVG."""
    with (out / CASES).open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if "," not in row["method"]]
    return box_plots({name: _by_case(found) for name, found in _by_method(rows).items()}, "Dice")


def _by_method(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def _by_case(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        values.setdefault((row["site"], row["case"]), []).append(float(row["dice"]))
    return {case: fmean(each) for case, each in values.items()}


def _over_seeds(rows: Iterable[Row], metric: str) -> Spread:
    seeds: dict[str, list[float]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(float(row[metric]))
    return over_seeds([fmean(each) for each in seeds.values()])


def _p(p: float | None) -> str:
    if p is None:
        return "no difference"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _format_spread(spread: Spread) -> str:
    return f"{spread.mean:.3f}" + (f" ± {spread.deviation:.3f}" if spread.deviation else "")


def all_seeds_together(out: Path, config: TrainingConfig, seeds: int) -> str:
    """Evaluate the FedCross members of all seeds as one ensemble with that many times the budget."""
    folders = [out / RUNS / "fedcross" / f"seed-{config.seed + n}" for n in range(seeds)]
    if not all((folder / TEST).is_file() for folder in folders):
        return ""
    members = [m for folder in folders for m in load_members(RunFolder(folder), "best").predictors]
    sites = read_data(config, NullReporter()).sites
    mean = evaluate_test(members, sites, config, torch.device("cpu"))["mean"]
    return (
        f"FedCross's members of the {seeds} seeds together, an ensemble of {seeds} times the budget: "
        f"Dice {mean['ensemble']:.3f}.\n"
    )


def facts(config: Path, given: argparse.Namespace) -> str:
    """Return the versions and the machine of the measurement."""
    found = record_facts(("torch", "monai", "numpy"))
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = [
        f"{found['date']}, commit {found['commit']}, {found['machine']}, {versions}",
        f"{given.seeds} seeds; what predicts is the round with the best validation Dice",
    ]
    if given.federation == "phantom":
        lines.append(f"phantom shift {given.shift:g}")
    listed = "".join(f"- {line}\n" for line in lines)
    return f"{listed}\n```toml{config.read_text(encoding='utf-8')}```\n"


def main() -> int:
    """Write the federation, compare, report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", choices=("phantom", "hippocampus"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="of hippocampus: folder with images/ and labels/")
    parser.add_argument("--shift", type=float, default=0.7, help="of phantom")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    folder = given.out / "federation"
    config = folder / CONFIG
    if not config.is_file():
        if given.federation == "phantom":
            write_phantom(folder, given.shift)
        elif given.data is None:
            parser.error("hippocampus needs --data")
        else:
            write_hippocampus(given.data, folder)
    with ConsoleReporter() as reporter:
        compare(
            load_config(config),
            given.out,
            methods=given.methods,
            seeds=given.seeds,
            reporter=reporter,
        )
    report = given.out / "report"
    report.mkdir(exist_ok=True)
    for name in (TABLE, CASES, PAGE):
        shutil.copyfile(given.out / name, report / name)
    title = f"# {given.federation.capitalize()}, not iid"
    longer = all_seeds_together(given.out, load_config(config), given.seeds)
    text = f"{title}\n\n{markdown(given.out)}\n{longer}\n{facts(config, given)}"
    (report / "table.md").write_text(text, encoding="utf-8")
    (report / "dice.svg").write_text(boxes(given.out), encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
