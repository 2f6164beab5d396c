"""Measure how many validation cases are needed to choose a round that is better than the last one.

    python training/benchmarks/kept_round.py --out FOLDER
    python training/benchmarks/kept_round.py --out FOLDER --report

A run trains on 16 synthetic pelves of four hospitals and computes the Dice of 64 other cases after every
16th round. The choice is simulated with these figures: some of the 64 cases are drawn as validation
cases, equally many of each hospital; the round with their highest mean Dice is chosen; its Dice on all
other cases is compared with that of the last round.

The figures of a finished run are a file in ``FOLDER/runs``, or in the folder that ``--results`` names; a
run that has one is not made again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from machine_facts import record_facts
from numpy.typing import NDArray

from fedcross.federate.local import engine
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.reporting import PlainReporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.study.compare.variants import change_options, parse_methods, with_seed
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.config.site import ExplicitSplit
from fedcross.training.data.phantom.pelvis.federation import write_pelvis_federation
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.volumes import Volume
from fedcross.training.evaluation.prediction import Array, dice_by_structure
from fedcross.training.evaluation.validation import validate
from fedcross.training.run.folder import TEST

RESULTS = Path(__file__).resolve().parent / "results" / "kept_round"
METHODS = {"fedcross": "FedCross", "centralised": "Centralised"}
TRAINED, WATCHED, TESTED = 4, 16, 1  # cases of a hospital
ROUNDS, EVERY = 384, 16
DRAWN = (1, 2, 4, 8)  # validation cases of a hospital
REPEATS = 4000
WORSE = 0.005  # Dice
VERSIONS = ("torch", "monai", "numpy", "simpleitk")
Scores = NDArray[np.float64]


@dataclass
class CaseScores:
    """The Dice of every validation case in every validation.

    Attributes
    ----------
    config
        Configuration of the run, which has one member.
    dice
        Site to case to the Dice of each validation in turn.
    """

    config: TrainingConfig
    dice: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, site: str, volume: Volume, each: list[Array]) -> None:
        """Add the Dice of a case; `each` has the probabilities of the one member."""
        found = each[0].argmax(axis=0).astype(np.uint8)
        scores = dice_by_structure(found, volume.label.numpy(), self.config.structures)
        of_site = self.dice.setdefault(site, {})
        of_site.setdefault(volume.name, []).extend(scores.values())


@dataclass(frozen=True)
class Choice:
    """What a number of validation cases chooses.

    Attributes
    ----------
    cases
        Validation cases of all hospitals together.
    gain
        Mean of the chosen round's Dice minus the last round's, over the draws.
    low, high
        Percentiles 5 and 95 of this difference.
    worse
        Share of the draws whose round is worse than the last one by more than `WORSE`.
    """

    cases: int
    gain: float
    low: float
    high: float
    worse: float


def read_federation(folder: Path) -> TrainingConfig:
    """Write the pelves if they do not exist; return their configuration."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_pelvis_federation(folder, cases=TRAINED + WATCHED + TESTED, seed=1)
    (path,) = folder.glob("*.toml")
    config = change_options(
        load_config(path),
        "kept_round",
        method={"kind": "fedcross-ens", "rounds": ROUNDS // 4, "local_epochs": 1},
        preprocessing={"spacing_mm": (2.5, 2.5, 3.0), "patch_size": (48, 48, 16)},
        training={"validate_every": EVERY // 4},
    )
    sites = []
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        names = sorted(name for part in cases.names().values() for name in part)
        split = ExplicitSplit(
            train=names[:TRAINED],
            validation=names[TRAINED : TRAINED + WATCHED],
            test=names[TRAINED + WATCHED :],
        )
        sites.append(site.model_copy(update={"split": split}))
    return config.model_copy(update={"sites": tuple(sites)})


def run_method(base: TrainingConfig, method: str, seed: int, out: Path, result: Path) -> None:
    """Train a method and write the Dice of every case in every validation, unless this exists."""
    name = f"{method}-seed-{seed}"
    if result.is_file():
        return
    print(name, flush=True)
    (variant,) = parse_methods(method, base)
    config = with_seed(variant, seed)
    scores = CaseScores(config)
    run = out / "training" / name
    run.parent.mkdir(parents=True, exist_ok=True)
    with patch.object(
        engine,
        "validate",
        lambda members, sites, config, device, show: validate(
            members, sites, config, device, scores.add
        ),
    ):
        engine.run_local(config, run, reporter=PlainReporter(sys.stdout))
    test = json.loads((run / TEST).read_text(encoding="utf-8"))
    record = {
        "method": method,
        "seed": seed,
        "rounds": config.method.rounds,
        "validate_every": config.training.validate_every,
        "test": test["mean"],
        "dice": scores.dice,
        **record_facts(VERSIONS),
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(result, (json.dumps(record, indent=1) + "\n").encode())


def choose(sites: Sequence[Scores], drawn: int, rng: np.random.Generator) -> Choice:
    """Simulate the choice of a round by validation cases.

    Parameters
    ----------
    sites
        For every hospital the Dice, (validations, cases); the last validation is that of the last
        round.
    drawn
        Validation cases of each hospital, fewer than it has.
    rng
        Draws the cases.

    Returns
    -------
    Choice
        The differences to the last round, on the cases that were not drawn.
    """
    gains = np.empty(REPEATS)
    for repeat in range(REPEATS):
        chosen, others = [], []
        for scores in sites:
            order = rng.permutation(scores.shape[1])
            chosen.append(scores[:, order[:drawn]])
            others.append(scores[:, order[drawn:]])
        best = int(np.concatenate(chosen, axis=1).mean(axis=1).argmax())
        means = np.concatenate(others, axis=1).mean(axis=1)
        gains[repeat] = means[best] - means[-1]
    low, high = np.percentile(gains, [5, 95])
    return Choice(
        drawn * len(sites),
        float(gains.mean()),
        float(low),
        float(high),
        float(np.mean(gains < -WORSE)),
    )


def report(folder: Path) -> str:
    """Return the table of all finished runs: for every number of cases, the means over the runs."""
    rng = np.random.default_rng(1)
    lines = [
        "| method | seed | validation cases | chosen minus last round, mean | percentiles 5 and 95 | "
        f"worse by more than {WORSE} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(folder.glob("*.json")):
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sites = [np.array(list(cases.values())).T for cases in run["dice"].values()]
        for drawn in DRAWN:
            found = choose(sites, drawn, rng)
            lines.append(
                f"| {METHODS[run['method']]} | {run['seed']} | {found.cases} | {found.gain:+.4f} | "
                f"{found.low:+.4f} to {found.high:+.4f} | {found.worse:.0%} |"
            )
    return "\n".join(lines)


def main() -> int:
    """Make the missing runs, or print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="folder of the figures; OUT/runs if left out")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="print the table of finished runs")
    given = parser.parse_args()
    results = given.results or given.out / "runs"
    if not given.report:
        base = read_federation(given.out.resolve() / "pelves")
        try:
            with interrupt_on_terminate():
                for seed in range(1, given.seeds + 1):
                    for method in METHODS:
                        result = results / f"{method}-seed-{seed}.json"
                        run_method(base, method, seed, given.out.resolve(), result)
        except KeyboardInterrupt:
            return 130
    print(report(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
