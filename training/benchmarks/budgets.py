"""Compare the methods and their ensembles at 1, 4 and 16 times a budget, and on a site left out.

    B=training/benchmarks/budgets.py
    python $B hippocampus --data MSD_HIPPOCAMPUS --out FOLDER
    python $B hippocampus --data MSD_HIPPOCAMPUS --out FOLDER --budgets 1 --leave-one-out
    python $B hippocampus --out FOLDER --report

The federations are those of `federations.py`, with the default augmentation of the package. Budget 1 is
their number of rounds. Every method trains on every site's cases for the same number of epochs in all.

Two kinds of ensembles need no cross learning: the *local models*, which are every site's own model, and
the models of one method with several seeds. An ensemble of N seeds costs N times the budget of a model.

A bundle of every run and ensemble is evaluated like ``fedcross evaluate`` does: on the test cases, or
with ``--leave-one-out`` on all cases of the site that did not train. An interrupted run is resumed. The
figures of a finished run are a file in ``FOLDER/results``, or in the folder that ``--results`` names,
and a run with figures is not made again, so that a measurement can continue on another machine. An
ensemble of several seeds is made where the bundles of its models are in FOLDER.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from budgets_figures import measure_bundle, measure_run
from budgets_report import write_report
from federations import CONFIG, share_half, write_hippocampus, write_phantom

from fedcross.federate.local.engine import run_local
from fedcross.model.bundle import open_bundle, write_bundle
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.reporting import PlainReporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.study.compare.variants import change_options, parse_methods, with_seed
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.config.site import ExplicitSplit
from fedcross.training.data.sites import find_all_cases
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import TEST, RunFolder

RESULTS = Path(__file__).resolve().parent / "results" / "budgets"
SHARED = "shared"
METHODS = {
    "centralised": "Centralised",
    "fedcross": "FedCross",
    "fedavg": "FedAvg",
    "fedbn": "FedBN",
    "local": "Local models",
    "fedcross-ens": "FedCrossEns",
    SHARED: "FedCrossEns, half of the visits shared",
}
OF_SEVERAL_SEEDS = ("centralised", "fedcross", "fedavg")
VALIDATIONS = 4
SHIFT = 0.7  # of the phantom's hospitals, as in methods.py


@dataclass(frozen=True)
class Task:
    """One run: a method with a budget and a seed; `left_out` is a site that does not train, or None."""

    method: str
    budget: int
    seed: int
    left_out: str | None = None

    @property
    def name(self) -> str:
        """The name of its files and folders."""
        return f"{self.group}-seed-{self.seed}"

    @property
    def group(self) -> str:
        """The name of the runs that differ only in their seed."""
        without = "" if self.left_out is None else f"-without-{self.left_out}"
        return f"budget-{self.budget}-{self.method}{without}"


def read_federation(name: str, source: Path | None, folder: Path) -> TrainingConfig:
    """Write the federation if it does not exist; return its configuration with splits as lists."""
    path = folder / CONFIG
    if not path.is_file():
        if name == "phantom":
            write_phantom(folder, SHIFT)
        elif source is None:
            raise SystemExit("hippocampus needs --data")
        else:
            write_hippocampus(source, folder)
    config = change_options(
        load_config(path),
        CONFIG,
        augmentation={"preset": "strong"},
        training={"keep": "last"},
    )
    sites = []
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        names = {part: names for part, names in cases.names().items() if part != "unused"}
        sites.append(site.model_copy(update={"split": ExplicitSplit.model_validate(names)}))
    return config.model_copy(update={"sites": tuple(sites)})


def configure(base: TrainingConfig, task: Task) -> TrainingConfig:
    """Return the configuration of a run."""
    sites = tuple(site for site in base.sites if site.name != task.left_out)
    config = base.model_copy(update={"sites": sites, "seed": task.seed})
    rounds, epochs = base.method.rounds * task.budget, base.method.local_epochs
    method = {"kind": "fedcross-ens", "rounds": rounds, "local_epochs": epochs}
    if task.method == SHARED:
        method |= share_half(rounds, len(sites))
    every = max(1, method["rounds"] // VALIDATIONS)
    config = change_options(config, task.name, method=method, training={"validate_every": every})
    if task.method == SHARED:
        return config
    (variant,) = parse_methods(task.method, config)
    return with_seed(variant, task.seed)


def list_tasks(given: argparse.Namespace, base: TrainingConfig) -> Iterator[Task]:
    """List the runs: first the small budgets, then the first seeds."""
    left_out = [site.name for site in base.sites] if given.leave_one_out else [None]
    for budget in given.budgets:
        for seed in range(1, given.seeds + 1):
            for site in left_out:
                for method in given.only:
                    yield Task(method, budget, seed, site)


def train_bundle(config: TrainingConfig, name: str, out: Path) -> tuple[RunFolder, Path]:
    """Train, or go on after an interruption, and export; return the run and the bundle in `out`."""
    run = RunFolder(out / "runs" / name)
    run.path.parent.mkdir(parents=True, exist_ok=True)
    if not (run.path / TEST).is_file():
        run_local(config, run.path, resume=run.exists, reporter=PlainReporter(sys.stdout))
    bundle = out / "bundles" / name
    bundle.parent.mkdir(parents=True, exist_ok=True)
    export_run(run.path, bundle)
    return run, bundle


def run_task(task: Task, base: TrainingConfig, given: argparse.Namespace) -> None:
    """Train, export and measure, unless the figures exist."""
    result = given.results / f"{task.name}.json"
    if result.is_file():
        return
    print(f"{task.name}", flush=True)
    run, bundle = train_bundle(configure(base, task), task.name, given.out)
    figures = measure(bundle, base, task.left_out, given.out / "evaluations" / task.name)
    save(result, task, 1, {**figures, **measure_run(run, task.seed)})


def run_seeds(task: Task, base: TrainingConfig, given: argparse.Namespace) -> None:
    """Measure the ensemble of the models of all seeds of a group that have a bundle."""
    folders = sorted((given.out / "bundles").glob(f"{task.group}-seed-*"))
    name = f"{task.group}-seeds-{len(folders)}"
    result, bundle = given.results / f"{name}.json", given.out / "bundles" / name
    if len(folders) < 2 or result.is_file():
        return
    print(name, flush=True)
    members = []
    for folder in folders:
        with open_bundle(folder) as opened:
            members += [opened.member_tensors(i) for i in range(len(opened.manifest.members))]
            manifest = opened.manifest.model_dump(mode="json", exclude={"members", "schedule"})
    write_bundle(bundle, {**manifest, "name": name}, members)
    figures = measure(bundle, base, task.left_out, given.out / "evaluations" / name)
    save(result, task, len(folders), figures)


def measure(
    bundle: Path, base: TrainingConfig, left_out: str | None, out: Path
) -> dict[str, object]:
    """Return the figures of a bundle on the test cases, or on all cases of the site that is left out."""
    if left_out is None:
        return measure_bundle(bundle, base, out, parts=("test",))
    parts = ("train", "validation", "test")
    return measure_bundle(bundle, base, out, parts=parts, sites=(left_out,))


def save(path: Path, task: Task, seeds: int, figures: Mapping[str, object]) -> None:
    """Write the figures of a run or of an ensemble of several seeds."""
    record = {
        "method": task.method,
        "budget": task.budget,
        "seed": task.seed if seeds == 1 else None,
        "seeds": seeds,
        "left_out": task.left_out,
        **figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())


def main() -> int:
    """Make the missing runs, or write the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", choices=("phantom", "hippocampus"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="of hippocampus: folder with images/ and labels/")
    parser.add_argument(
        "--results", type=Path, help="folder of the figures; OUT/results if left out"
    )
    parser.add_argument("--budgets", default="1,4,16", help="multiples with commas between them")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--only", default=",".join(METHODS), help="methods with commas between them"
    )
    parser.add_argument("--leave-one-out", action="store_true", help="leave every site out in turn")
    parser.add_argument("--report", action="store_true", help="write the tables and figures")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.results = (given.results or given.out / "results") / given.federation
    given.budgets = [int(part) for part in given.budgets.split(",")]
    given.only = given.only.split(",")
    if unknown := [name for name in given.only if name not in METHODS]:
        parser.error(f"there is no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    if given.report:
        print(write_report(given.federation, METHODS, given.results, RESULTS))
        return 0
    base = read_federation(given.federation, given.data, given.out / "federation")
    try:
        with interrupt_on_terminate():
            tasks = list(list_tasks(given, base))
            for task in tasks:
                run_task(task, base, given)
            for task in tasks:
                if task.method in OF_SEVERAL_SEEDS:
                    run_seeds(task, base, given)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
