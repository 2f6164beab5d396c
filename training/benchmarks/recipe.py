"""Does what `configs/prostate-fast.toml` changes help? Step by step from the paper's, on phantoms.

    python training/benchmarks/recipe.py --out FOLDER

FedCrossEns on four synthetic hospitals that differ (as in `methods.py`), with equal local epochs: first
as the paper trains (long visits, sites drawn at random, batch normalisation, patches anywhere, no
change of intensity), then with one change more in every row, until all those of the fast configuration
are made. Mean test Dice over the seeds. Finished runs in FOLDER are kept and an interrupted one goes on.
"""

import argparse
import json
import os
import sys
from datetime import date
from pathlib import Path
from statistics import fmean

from methods import SITE, write_phantom

from fedcross.console import ConsoleReporter
from fedcross.federate.local import run_local
from fedcross.study.significance import over_seeds
from fedcross.train.config import load_config
from fedcross.train.run_folder import TEST, RunFolder

CONFIG = """
name = "Phantom, {name}"
seed = {seed}

[method]
kind = "fedcross-ens"
rounds = {rounds}
local_epochs = {local_epochs}
schedule = "{schedule}"

[network]
name = "unet"
base_channels = 8
norm = "{norm}"

[preprocessing]
spacing_mm = [3.0, 3.0, 3.0]
patch_size = [32, 32, 32]
overlap = 0.5
modality = "MR"

[training]
batch_size = 2
patches_per_case = 1
learning_rate = 0.02
momentum = 0.9
foreground_fraction = {foreground}
intensity = {intensity}
validate_every = {validate_every}

[[structures]]
name = "Phantom organ"
label = 1
"""
PAPER = {
    "rounds": 5,
    "local_epochs": 8,
    "validate_every": 1,
    "schedule": "random",
    "norm": "batch",
    "foreground": 0.0,
    "intensity": 0.0,
}
STEPS = {
    "as the paper": {},
    "short visits, Latin schedule": {
        "rounds": 20,
        "local_epochs": 2,
        "validate_every": 4,
        "schedule": "latin",
    },
    "instance normalisation": {"norm": "instance"},
    "every second patch at the organ": {"foreground": 0.5},
    "contrast and brightness changed": {"intensity": 0.2},
}


def main() -> int:
    """Run what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="at least 2")
    parser.add_argument("--shift", type=float, default=0.7)
    given = parser.parse_args()
    federation = given.out / "federation"
    if not federation.is_dir():
        write_phantom(federation, given.shift)
    sites = sorted(path.name for path in federation.iterdir() if path.is_dir())
    recipe, lines = dict(PAPER), ["| with, in addition | ensemble | one member |", "|---|---|---|"]
    with ConsoleReporter() as reporter:
        for number, (name, change) in enumerate(STEPS.items()):
            recipe |= change
            ensemble, alone = [], []
            for seed in range(1, given.seeds + 1):
                text = CONFIG.format(name=name, seed=seed, **recipe)
                text += "".join(SITE.format(name=site, split=[10, 2, 4]) for site in sites)
                path = federation / f"recipe-{number}-{seed}.toml"
                path.write_text(text, encoding="utf-8")
                run = RunFolder(given.out / "runs" / path.stem)
                if not (run.path / TEST).is_file():
                    run_local(load_config(path), run.path, resume=run.exists, reporter=reporter)
                found = json.loads((run.path / TEST).read_text(encoding="utf-8"))["mean"]
                ensemble.append(found["ensemble"])
                alone.append(fmean(found["members"]))
            told = (over_seeds(each) for each in (ensemble, alone))
            cells = " | ".join(f"{each.mean:.3f} ± {each.deviation:.3f}" for each in told)
            lines.append(f"| {name} | {cells} |")
            print(lines[-1], flush=True)
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    facts = f"{date.today()}; {given.seeds} seeds, shift {given.shift:g}, CPU, {threads} threads"
    table = "\n".join(lines) + f"\n\n{facts}\n"
    (given.out / "recipe.md").write_text(table, encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
