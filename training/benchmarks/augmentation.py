"""Measure GIN, a random network that changes the contrast, at known hospitals and at one left out.

    python training/benchmarks/augmentation.py --data MSD_HIPPOCAMPUS --out FOLDER
    python training/benchmarks/augmentation.py --out FOLDER --report

Trains the hippocampus federation of `federations.py` with budget 1 of `budgets.py` and with several
values of ``gin_probability``. All other augmentation is that of the preset ``strong``. A run is tested
on the test cases of the four hospitals, or on all cases of the hospital that was left out.

The figures of a finished run are a file in ``FOLDER/results``, or in the folder that ``--results``
names; a run that has one is not made again. ``--report`` prints the table of the finished runs.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from budgets import Task, configure, measure, read_federation, train_bundle
from budgets_figures import read_records

from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.study.compare.variants import change_options
from fedcross.training.config.configuration import TrainingConfig

PROBABILITIES = (0.0, 0.15, 0.3)
METHODS = ("centralised", "fedcross")


@dataclass(frozen=True)
class Change:
    """One run: a task of `budgets.py`, and the probability of GIN."""

    task: Task
    probability: float

    @property
    def name(self) -> str:
        """The name of its files and folders."""
        return f"gin-{self.probability:g}-{self.task.name}"


def list_changes(given: argparse.Namespace, base: TrainingConfig) -> Iterator[Change]:
    """List the runs: first the first seeds, then the known hospitals."""
    for seed in range(1, given.seeds + 1):
        for left_out in (None, *(site.name for site in base.sites)):
            for method in given.only:
                for probability in given.probabilities:
                    yield Change(Task(method, 1, seed, left_out), probability)


def run_change(change: Change, base: TrainingConfig, given: argparse.Namespace) -> None:
    """Train, export and measure, unless the figures exist."""
    result = given.results / f"{change.name}.json"
    if result.is_file():
        return
    print(change.name, flush=True)
    augmentation = {"preset": "strong", "gin_probability": change.probability}
    config = change_options(configure(base, change.task), change.name, augmentation=augmentation)
    _, bundle = train_bundle(config, change.name, given.out)
    task = change.task
    record = {
        "method": task.method,
        "seed": task.seed,
        "left_out": task.left_out,
        "gin_probability": change.probability,
        **measure(bundle, base, task.left_out, given.out / "evaluations" / change.name),
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(result, (json.dumps(record, indent=1) + "\n").encode())


def report(folder: Path) -> str:
    """Return the Dice of all finished runs as a table; every cell lists the seeds in their order."""
    dices: dict[tuple[str, str], dict[float, list[tuple[int, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in read_records(folder):
        place = str(record["left_out"] or "none, the four hospitals are known")
        cell = dices[str(record["method"]), place][float(str(record["gin_probability"]))]
        cell.append((int(str(record["seed"])), float(str(record["dice"]))))
    found = sorted({value for row in dices.values() for value in row})
    lines = [
        ["method", "left out", *(f"GIN {value:g}" for value in found)],
        ["---"] * (2 + len(found)),
    ]
    for (method, place), row in sorted(dices.items()):
        lines.append([method, place, *(_told(row[value]) for value in found)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _told(runs: list[tuple[int, float]]) -> str:
    """The Dice of each seed, and their mean if there are several."""
    values = [dice for _, dice in sorted(runs)]
    told = ", ".join(f"{value:.3f}" for value in values)
    return f"{told} (mean {fmean(values):.3f})" if len(values) > 1 else told


def main() -> int:
    """Make the missing runs, or print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder with images/ and labels/")
    parser.add_argument(
        "--results", type=Path, help="folder of the figures; OUT/results if left out"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--only", default=",".join(METHODS), help="methods with commas between them"
    )
    parser.add_argument(
        "--probabilities",
        default=",".join(str(value) for value in PROBABILITIES),
        help="values of gin_probability with commas between them",
    )
    parser.add_argument("--report", action="store_true", help="print the table of finished runs")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.results = given.results or given.out / "results"
    given.only = given.only.split(",")
    given.probabilities = [float(part) for part in given.probabilities.split(",")]
    if not given.report:
        base = read_federation("hippocampus", given.data, given.out / "federation")
        try:
            with interrupt_on_terminate():
                for change in list_changes(given, base):
                    run_change(change, base, given)
        except KeyboardInterrupt:
            return 130
    print(report(given.results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
