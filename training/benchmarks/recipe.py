"""Measure each change of `prostate-fast.toml` against the paper's recipe, on small federations.

    python training/benchmarks/recipe.py phantom --out FOLDER
    python training/benchmarks/recipe.py hippocampus --data FOLDER --out FOLDER

FedCrossEns trains on the hospitals of `federations.py` with equal local epochs. The first row is the
paper's recipe (long visits, sites drawn at random, batch normalisation, patches anywhere, no change of
intensity). Every further row has one change more, and the last row has all changes of the fast
configuration. The figures are mean test Dice over the seeds. Finished runs in FOLDER are kept and an
interrupted run is resumed.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

from federations import CONFIG, write_hippocampus, write_phantom

from fedcross.commands.console import ConsoleReporter
from fedcross.federate.local.engine import run_local
from fedcross.study.compare.significance import over_seeds
from fedcross.study.compare.variants import change_options
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.run.folder import TEST, RunFolder

LONG, SHORT = 8, 2  # local epochs of a visit
Change = Mapping[str, Mapping[str, Any]]
STEPS: dict[str, Change] = {
    "as the paper": {
        "method": {"local_epochs": LONG, "schedule": "random"},
        "network": {"norm": "batch"},
        "training": {
            "foreground_fraction": 0.0,
            "intensity": 0.0,
            "validate_every": 1,
            "keep": "best",
        },
        "augmentation": {"preset": "paper"},
    },
    "short visits, Latin schedule": {
        "method": {"local_epochs": SHORT, "schedule": "latin"},
        "training": {"validate_every": LONG // SHORT},
    },
    "instance normalisation": {"network": {"norm": "instance"}},
    "every second patch at the organ": {"training": {"foreground_fraction": 0.5}},
    "contrast and brightness changed": {"training": {"intensity": 0.2}},
}


def apply_change(config: TrainingConfig, change: Change) -> TrainingConfig:
    """Return the configuration with a change, and with rounds for the same number of epochs."""
    method = {"local_epochs": config.method.local_epochs, **change.get("method", {})}
    method["rounds"] = config.total_epochs // method["local_epochs"]
    return change_options(config, "the recipe", **{**change, "method": method})


def main() -> int:
    """Run the missing runs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", choices=("phantom", "hippocampus"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="of hippocampus: folder with images/ and labels/")
    parser.add_argument("--shift", type=float, default=0.7, help="of phantom")
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    given = parser.parse_args()
    folder = given.out / "federation"
    if not (folder / CONFIG).is_file():
        if given.federation == "phantom":
            write_phantom(folder, given.shift)
        elif given.data is None:
            parser.error("hippocampus needs --data")
        else:
            write_hippocampus(given.data, folder)
    config, lines = load_config(folder / CONFIG), ["| with, in addition | ensemble | one member |"]
    lines.append("|---|---|---|")
    with ConsoleReporter() as reporter:
        for number, (name, change) in enumerate(STEPS.items()):
            config = apply_change(config, change)
            ensemble, alone = [], []
            for seed in range(1, given.seeds + 1):
                run = RunFolder(given.out / "runs" / f"recipe-{number}-{seed}")
                if not (run.path / TEST).is_file():
                    seeded = config.model_copy(update={"seed": seed})
                    run_local(seeded, run.path, resume=run.exists, reporter=reporter)
                found = json.loads((run.path / TEST).read_text(encoding="utf-8"))["mean"]
                ensemble.append(found["ensemble"])
                alone.append(fmean(found["members"]))
            spreads = (over_seeds(each) for each in (ensemble, alone))
            cells = " | ".join(f"{each.mean:.3f} ± {each.deviation:.3f}" for each in spreads)
            lines.append(f"| {name} | {cells} |")
            print(lines[-1], flush=True)
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    shift = f", shift {given.shift:g}" if given.federation == "phantom" else ""
    facts = f"{date.today()}; {given.seeds} seeds{shift}, CPU, {threads} threads"
    table = "\n".join(lines) + f"\n\n{facts}\n"
    (given.out / "recipe.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
