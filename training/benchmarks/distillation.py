r"""Distil one network from an ensemble, and compare it with the ensemble and with one of its members.

    B=training/benchmarks
    python $B/budgets.py hippocampus --data MSD_HIPPOCAMPUS --out FOLDER --budgets 1 \
        --only fedcross-ens,shared
    python $B/distillation.py hippocampus --ensembles FOLDER
    python $B/distillation.py --report

The teachers are the bundles that `budgets.py` has made. A student has the network of a member and
trains on the training cases of all sites together, with the augmentation and the optimiser of the
teacher's training. Its target on every patch is the mean of the members' softmax: the loss is the
divergence from it (temperature 1), the loss on the labels, or the sum of both. It begins from the first
member, from the mean of the members' weights, or at random, and makes a share of the steps that all
members made together. The learning rate falls to 0 over these steps.

The ensemble, its first member alone and every student are bundles that are evaluated like ``fedcross
evaluate`` does, on the test cases. Figures that exist are not measured again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from budgets import METHODS, Task, read_federation
from budgets_figures import measure_bundle
from distillation_report import write_report
from torch import Tensor

from fedcross.federate.local.engine import read_data
from fedcross.federate.local.teacher import Teacher
from fedcross.federate.local.visits import pool_sites
from fedcross.model.bundle import Bundle, open_bundle, write_bundle
from fedcross.model.network_state import get_state
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.reporting import NullReporter
from fedcross.strategies.member import MemberState, new_member
from fedcross.study.compare.variants import change_options
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.step.learning_rate import learning_rate
from fedcross.training.step.local_training import LocalTraining

RESULTS = Path(__file__).resolve().parent / "results" / "distillation"
Start = Literal["member", "mean", "random"]
Target = Literal["soft", "both", "labels"]


@dataclass(frozen=True)
class Recipe:
    """How a student is trained.

    Attributes
    ----------
    start
        Weights before the first step.
    target
        ``soft``: the members' mean softmax. ``labels``: the labels. ``both``: the sum of both losses.
    share
        Number of steps as a share of those of all members together.
    """

    start: Start
    target: Target
    share: float

    @property
    def name(self) -> str:
        """The name of its files, and what --only takes."""
        return f"{self.start}-{self.target}-{self.share:g}"

    @classmethod
    def parse(cls, name: str) -> "Recipe":
        """Return the recipe with a name."""
        start, target, share = name.split("-")
        return cls(start, target, float(share))  # type: ignore[arg-type]


def no_loss(logits: Tensor, labels: Tensor, missing: object = None) -> Tensor:
    """Return 0, as the loss on the labels of a student that does not see them."""
    return logits.new_zeros(())


def first_weights(teacher: Bundle, recipe: Recipe, seed: int) -> Mapping[str, Tensor]:
    """Return a student's weights before the first step."""
    count = len(teacher.manifest.members)
    if recipe.start == "member":
        return teacher.member_tensors(0)
    if recipe.start == "random":
        return new_member(count, teacher.manifest.architecture, seed).weights
    states = [teacher.member_tensors(index) for index in range(count)]
    return {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}


def train_student(
    teacher: Bundle, recipe: Recipe, config: TrainingConfig, pooled: Site
) -> tuple[Mapping[str, Tensor], dict[str, object]]:
    """Train a student; return its weights, and what it cost.

    Parameters
    ----------
    teacher
        Bundle of the ensemble.
    recipe
        Start, target and number of steps.
    config
        Configuration of centralised training with the budget of the ensemble.
    pooled
        Training cases of all sites.
    """
    began = time.perf_counter()
    device = torch.device("cpu")
    weights = first_weights(teacher, recipe, config.seed)
    student = MemberState(len(teacher.manifest.members), weights, {})
    training = LocalTraining.begin(student, pooled, 0, config, device)
    if recipe.target != "labels":
        count = len(teacher.manifest.members)
        members = [teacher.load_member(index, device) for index in range(count)]
        training = replace(training, penalty=Teacher(members))
    if recipe.target == "soft":
        training = replace(training, loss=no_loss)
    epochs, patches = round(recipe.share * config.total_epochs), 0
    for epoch in range(epochs):
        sums = training.run_epoch(learning_rate(config.training, epoch, epochs))
        patches += sums.fetch()[1]
    trained = {key: tensor.contiguous() for key, tensor in get_state(training.network).items()}
    return trained, {"patches": patches, "seconds": round(time.perf_counter() - began, 1)}


def write_single(path: Path, teacher: Bundle, name: str, weights: Mapping[str, Tensor]) -> Path:
    """Write a bundle of one network with the grid and structures of an ensemble; return its path."""
    manifest = teacher.manifest.model_dump(
        mode="json", exclude={"members", "schedule", "calibration", "profile"}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(path, {**manifest, "name": name}, [dict(weights)])
    return path


class Measurement:
    """Measures what belongs to one teacher, and keeps the figures.

    Parameters
    ----------
    task
        The run of the ensemble.
    given
        Options of the command line.
    base
        Configuration of the federation.
    pooled
        Training cases of all sites.
    """

    def __init__(
        self, task: Task, given: argparse.Namespace, base: TrainingConfig, pooled: Site
    ) -> None:
        self._task, self._base, self._pooled = task, base, pooled
        self._out: Path = given.ensembles
        self._results = given.results / given.federation

    def run(self, recipes: list[Recipe]) -> None:
        """Measure the ensemble, its students and its first member."""
        with open_bundle(self._out / "bundles" / self._task.name) as teacher:
            self._keep("ensemble", partial(self._evaluate, teacher.path))
            for recipe in recipes:
                self._keep(recipe.name, partial(self._distil, teacher, recipe))
            self._keep("member", partial(self._evaluate_member, teacher))

    def _keep(self, contender: str, measure: Callable[[], Mapping[str, Any]]) -> None:
        path = self._results / f"{self._task.name}-{contender}.json"
        if path.is_file():
            return
        print(f"{self._task.name} {contender}", flush=True)
        record = {
            "teacher": self._task.group,
            "seed": self._task.seed,
            "contender": contender,
            **measure(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())

    def _evaluate(self, bundle: Path) -> dict[str, Any]:
        out = self._out / "evaluations" / bundle.name
        return measure_bundle(bundle, self._base, out, parts=("test",))

    def _evaluate_member(self, teacher: Bundle) -> dict[str, Any]:
        name = f"{self._task.name}-member"
        path = self._out / "students" / name
        return self._evaluate(write_single(path, teacher, name, teacher.member_tensors(0)))

    def _distil(self, teacher: Bundle, recipe: Recipe) -> dict[str, Any]:
        name = f"{self._task.name}-{recipe.name}"
        method = {
            "kind": "centralised",
            "rounds": self._base.method.rounds * self._task.budget,
            "local_epochs": self._base.method.local_epochs,
        }
        config = change_options(self._base, name, method=method)
        config = config.model_copy(update={"seed": self._task.seed})
        weights, cost = train_student(teacher, recipe, config, self._pooled)
        path = self._out / "students" / name
        return {**self._evaluate(write_single(path, teacher, name, weights)), **cost}


def list_teachers(folder: Path) -> Iterator[Task]:
    """Find the bundles of `budgets.py` that are ensembles of one run."""
    for path in sorted((folder / "bundles").iterdir()):
        _, budget, *method, word, seed = path.name.split("-")
        if word == "seed" and "-".join(method) in ("fedcross-ens", "shared"):
            yield Task("-".join(method), int(budget), int(seed))


def main() -> int:
    """Measure what is missing, or write the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", nargs="?", choices=("phantom", "hippocampus"))
    parser.add_argument("--ensembles", type=Path, help="the folder --out of budgets.py")
    parser.add_argument("--results", type=Path, default=RESULTS / "runs")
    parser.add_argument("--only", default="member-both-1", help="recipes with commas between them")
    parser.add_argument(
        "--teachers", default="", help="runs with commas between them; all if empty"
    )
    parser.add_argument("--report", action="store_true", help="write the tables")
    given = parser.parse_args()
    if given.report:
        print(write_report(given.results, RESULTS / "tables.md", METHODS))
        return 0
    if given.federation is None or given.ensembles is None:
        parser.error("a measurement needs the federation and --ensembles")
    given.ensembles = given.ensembles.resolve()
    base = read_federation(given.federation, None, given.ensembles / "federation")
    pooled = pool_sites(read_data(base, NullReporter()).sites)
    recipes = [Recipe.parse(name) for name in given.only.split(",") if name]
    for task in list_teachers(given.ensembles):
        if not given.teachers or task.name in given.teachers.split(","):
            Measurement(task, given, base, pooled).run(
                [r for r in recipes if r.start != "mean" or task.method == "shared"]
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
