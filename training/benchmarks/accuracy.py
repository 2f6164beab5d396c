"""Measure the test Dice of our methods beside nnU-Net v2 and a plain MONAI loop, at equal steps.

    python -m venv NN && NN/bin/pip install nnunetv2
    A=training/benchmarks/accuracy.py
    python $A hippocampus --data MSD_HIPPOCAMPUS --out FOLDER --nnunet-python NN/bin/python
    python $A pelvis --out FOLDER --nnunet-python NN/bin/python
    python $A pelvis --out FOLDER --report

All contenders get the same files, splits, spacing and number of optimiser steps, on the same machine.
Ours split the steps over their models; the others train one model on the pooled cases.

- ``hippocampus``: 24 cases of the Medical Segmentation Decathlon's Task04 (``images/``, ``labels/``),
  as four hospitals that differ, see `federations.py`.
- ``pelvis``: the synthetic federation of ``fedcross data phantom --anatomy pelvis``.
- ``sarcoma``: soft-tissue sarcomas, ``MR_T1/`` and ``CT/`` with ``images/`` and ``labels/``.
- ``spinal``: cervical cords, ``images/`` and ``labels/`` with ``t1w.nii.gz`` and ``t2.nii.gz``.

Every federation, contender and seed is a run of its own in FOLDER. An interrupted run is resumed; other
numbers of steps are other runs. The result of a finished run is a file in ``FOLDER/results``, or in the
folder that ``--results`` names, and a run with a result is not made again. So a measurement can continue
on another machine. ``nnunet`` has the spacing of the others. These run only if ``--only`` names them:

- ``centralised-bf16`` trains in bf16.
- ``nnunet-own-spacing`` has the spacing that its planner chooses.
- ``nnunet-1gb`` is planned for 1 GB of memory in place of 8: smaller patches and quicker steps.
- ``nnunet-one-output`` has no deep supervision.
- ``nnunet-residual`` has nnU-Net's residual encoder.

``--report`` runs nothing and writes the table of the finished runs to
`training/benchmarks/results/accuracy`.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_contenders import LEFT_OUT, OTHERS, TITLES, our_configuration
from accuracy_federations import FEDERATIONS, read_federation
from accuracy_nnunet import VARIANTS, nnunet_environment, write_nnunet_request
from accuracy_report import table, write_report
from accuracy_request import (
    PREDICTIONS,
    TRAINING,
    Request,
    score_predictions,
    score_test_file,
    write_request,
)
from accuracy_usage import LOG, read_usage, run_lock, run_recorded
from machine_facts import record_facts

from fedcross.errors import FedCrossError
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.training.run.folder import TEST

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "accuracy"
VERSIONS = ("torch", "monai", "numpy", "simpleitk")


@dataclass(frozen=True)
class Task:
    """One run: a contender with a seed, its folder, and the file of its result."""

    contender: str
    seed: int
    folder: Path
    result: Path
    request: Request

    @property
    def is_ours(self) -> bool:
        """Whether the contender is one of our methods."""
        return self.contender not in OTHERS


def make_task(given: argparse.Namespace, contender: str, seed: int) -> Task:
    """Write the federation if needed, and return the run of a contender."""
    federation = FEDERATIONS[given.federation]
    steps = federation.whole_steps(given.steps or federation.steps)
    base = given.out / given.federation
    config = read_federation(federation, given.data, base / "data", steps, seed)
    folder = base / f"steps-{steps}" / contender / f"seed-{seed}"
    result = result_folder(given, steps) / f"{contender}-seed-{seed}.json"
    if contender not in OTHERS:
        config = our_configuration(contender, config)
    return Task(contender, seed, folder, result, Request(config, steps))


def result_folder(given: argparse.Namespace, steps: int) -> Path:
    """Return the folder of the results of a federation."""
    folder: Path = given.results or given.out / "results"
    return folder / given.federation / f"steps-{steps}"


def run_task(task: Task, nnunet_python: Path | None) -> bool:
    """Make the run, unless it is finished; return whether it is finished now."""
    name = f"{task.contender}, seed {task.seed}"
    if task.result.is_file():
        print(f"{name}: finished before", flush=True)
        return True
    if task.contender in VARIANTS and nnunet_python is None:
        print(f"{name}: left out, because it needs --nnunet-python", flush=True)
        return False
    task.folder.mkdir(parents=True, exist_ok=True)
    with run_lock(task.folder) as lock:
        if lock is None:
            print(f"{name}: left out, because another process runs it", flush=True)
            return False
        print(f"{name}: {task.request.steps} steps", flush=True)
        command = write_files(task, nnunet_python)
        env = nnunet_environment(task.folder) if task.contender in VARIANTS else None
        code = run_recorded(command, task.folder, lock, env)
        if code != 0:
            print(f"{name}: ended with {code}, see {task.folder / LOG}", flush=True)
            return False
        result = read_result(task)
        task.result.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(task.result, (json.dumps(result, indent=1) + "\n").encode())
    mean = sum(score["dice"] for score in result["scores"]) / len(result["scores"])
    print(f"{name}: Dice {mean:.3f}, {result['seconds']:.0f} s", flush=True)
    return True


def write_files(task: Task, nnunet_python: Path | None) -> list[str]:
    """Write the request of the run; return the command that makes it."""
    folder = str(task.folder)
    if task.contender in VARIANTS:
        write_nnunet_request(task.folder, task.request, VARIANTS[task.contender])
        return [str(nnunet_python), str(HERE / "nnunet_driver.py"), folder]
    write_request(task.folder, task.request)
    script = "accuracy_ours.py" if task.is_ours else "accuracy_monai.py"
    return [sys.executable, str(HERE / script), folder]


def read_result(task: Task) -> dict[str, Any]:
    """Return scores and figures of a run whose command has ended."""
    training = json.loads((task.folder / TRAINING).read_text(encoding="utf-8"))
    members: list[float] = []
    if task.is_ours:
        test = json.loads((task.folder / "run" / TEST).read_text(encoding="utf-8"))
        scores, members = score_test_file(test), test["mean"]["members"]
    else:
        scores = score_predictions(task.request.config, task.folder / PREDICTIONS)
    usage = read_usage(task.folder)
    return {
        "contender": task.contender,
        "seed": task.seed,
        "scores": scores,
        "members": members,
        "seconds": usage.seconds,
        "processor_s": usage.processor_s,
        "peak_mb": usage.peak_mb,
        **record_facts(VERSIONS),
        **training,
    }


def main() -> int:
    """Make the missing runs, or write the report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("federation", choices=tuple(FEDERATIONS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder of the original images; not of pelvis")
    parser.add_argument(
        "--results", type=Path, help="folder of the results; OUT/results if left out"
    )
    parser.add_argument("--nnunet-python", type=Path, help="Python with the package nnunetv2")
    parser.add_argument("--seeds", type=int, default=3, help="the last seed")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--steps", type=int, help="optimiser steps of a run; rounded up to visits")
    parser.add_argument("--only", help=f"contenders with commas between them: {', '.join(TITLES)}")
    parser.add_argument("--report", action="store_true", help="write the table of finished runs")
    given = parser.parse_args()
    given.out = given.out.resolve()
    names = given.only.split(",") if given.only else [n for n in TITLES if n not in LEFT_OUT]
    if unknown := [name for name in names if name not in TITLES]:
        parser.error(f"there is no contender {unknown[0]!r}; there are {', '.join(TITLES)}")
    federation = FEDERATIONS[given.federation]
    if given.report:
        steps = federation.whole_steps(given.steps or federation.steps)
        results = finished(result_folder(given, steps))
        print(write_report(given.federation, federation, TITLES, results, RESULTS))
        return 0
    done = True
    try:
        with interrupt_on_terminate():
            for seed in range(given.first_seed, given.seeds + 1):
                for name in names:
                    task = make_task(given, name, seed)
                    done = run_task(task, given.nnunet_python) and done
    except FedCrossError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(table(TITLES, finished(task.result.parent)))
    return 0 if done else 1


def finished(folder: Path) -> list[dict[str, Any]]:
    """Return the results of all finished runs in a folder."""
    paths = sorted(folder.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


if __name__ == "__main__":
    sys.exit(main())
