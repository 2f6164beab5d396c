"""Plan, preprocess, train and predict with nnU-Net v2, for `accuracy.py`.

    NNUNET_PYTHON training/benchmarks/nnunet_driver.py RUN

NNUNET_PYTHON is the Python of an environment with `nnunetv2`. RUN contains `nnunet.json` and, in
`nnunet/raw`, the data set; `accuracy_nnunet.py` writes both and states the variables of the
environment. Planner, preprocessing, network, loss, optimiser, augmentation, the checkpoint (the last
one) and inference with mirrored copies are those of nnU-Net. Only the number of its epochs and of the
steps in an epoch is changed, and what the request states: the planner, the spacing and the memory that
it is told, and whether there is deep supervision.

The preprocessing is done once. A checkpoint is written after every epoch; a second start goes on from
it, or begins the training again if it is damaged.
"""

import json
import os
import pickle
import platform
import random
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.experiment_planning.plan_and_preprocess_api import (
    extract_fingerprints,
    plan_experiments,
    preprocess,
)
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

RUN = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
WORK = RUN / "nnunet"
CONFIGURATION, PLANS = "3d_fullres", "plans"
STEPS_OF_EPOCH = 48
PREPROCESSED = "preprocessed.done"
DAMAGED = (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError)


class Trainer(nnUNetTrainer):
    """nnU-Net's trainer; a checkpoint is written under another name first, and after every epoch."""

    def save_checkpoint(self, filename: str) -> None:
        """Write the checkpoint completely, or not at all."""
        super().save_checkpoint(filename + ".part")
        os.replace(filename + ".part", filename)


def seed_all(seed: int) -> None:
    """Seed the generators that nnU-Net draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - nnU-Net draws from it
    torch.manual_seed(seed)


def split_steps(steps: int) -> tuple[int, int]:
    """Return the number of epochs, and of the steps in each, whose product is `steps`."""
    each = max(n for n in range(1, min(STEPS_OF_EPOCH, steps) + 1) if steps % n == 0)
    return steps // each, each


def plan_and_preprocess(request: dict[str, Any]) -> Path:
    """Plan and preprocess, unless it was done; return the folder of the preprocessed data set."""
    folder = WORK / "preprocessed" / request["dataset"]
    if not (WORK / PREPROCESSED).is_file():
        shutil.rmtree(WORK / "preprocessed", ignore_errors=True)
        shutil.rmtree(WORK / "results", ignore_errors=True)
        folder.mkdir(parents=True)
        number = [int(request["dataset"][len("Dataset") :][:3])]
        extract_fingerprints(number, num_processes=1)
        plan_experiments(
            number,
            experiment_planner_class_name=request["planner"],
            gpu_memory_target_in_gb=request["memory_gb"],
            overwrite_target_spacing=request["spacing_zyx"],
            overwrite_plans_name=PLANS,
        )
        preprocess(number, PLANS, (CONFIGURATION,), (1,))
        split = [{"train": request["train"], "val": request["validation"] or request["train"]}]
        (folder / "splits_final.json").write_text(json.dumps(split))
        (WORK / PREPROCESSED).touch()
    return folder


def make_trainer(request: dict[str, Any], folder: Path) -> Trainer:
    """Return the trainer with the number of steps of the request."""
    plans = json.loads((folder / f"{PLANS}.json").read_text())
    dataset = json.loads((folder / "dataset.json").read_text())
    # get_trainer_from_args of nnU-Net sets this key, too.
    plans["continue_training"] = False
    trainer = Trainer(plans, CONFIGURATION, 0, dataset, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch = split_steps(request["steps"])
    trainer.num_val_iterations_per_epoch = 1
    trainer.save_every = 1
    trainer.enable_deep_supervision = request["deep_supervision"]
    return trainer


def train(request: dict[str, Any], folder: Path) -> Trainer:
    """Train the steps that remain; return the trainer with the last weights."""
    trainer = make_trainer(request, folder)
    output = Path(trainer.output_folder)
    for name in ("checkpoint_final.pth", "checkpoint_latest.pth"):
        if not (output / name).is_file():
            continue
        try:
            trainer.load_checkpoint(str(output / name))
            break
        except DAMAGED as error:
            print(f"{name} is damaged ({error}); the training begins again.")
            shutil.rmtree(output)
            trainer = make_trainer(request, folder)
    seed_all(request["seed"] + 1000 * trainer.current_epoch)
    if trainer.current_epoch == 0:
        trainer.initialize()
    if not (output / "checkpoint_final.pth").is_file():
        trainer.run_training()
    return trainer


def predict(trainer: Trainer, request: dict[str, Any]) -> None:
    """Write a label map for every test image."""
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor = nnUNetPredictor(
        perform_everything_on_device=False, device=trainer.device, allow_tqdm=False
    )
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        trainer.dataset_json,
        nnUNetTrainer.__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    out = RUN / "predictions"
    out.mkdir(exist_ok=True)
    images = [[path] for path in request["test"].values()]
    predictor.predict_from_files_sequential(images, [str(out / name) for name in request["test"]])


def describe(trainer: Trainer, seconds: float, parameters: int) -> dict[str, Any]:
    """Return the figures of the training and the plan."""
    plan = trainer.configuration_manager
    return {
        "training_s": seconds,
        "steps": trainer.num_epochs * trainer.num_iterations_per_epoch,
        "parameters": parameters,
        "plan": {
            "patch_zyx": [int(n) for n in plan.patch_size],
            "batch": int(plan.batch_size),
            "spacing_zyx": [float(mm) for mm in plan.spacing],
            "stages": len(plan.pool_op_kernel_sizes),
            "normalisation": plan.normalization_schemes,
        },
        "versions": {name: version(name) for name in ("nnunetv2", "torch", "numpy")},
        "python": platform.python_version(),
    }


def main() -> int:
    """Plan, preprocess, train, predict; return the exit code."""
    request = json.loads((RUN / "nnunet.json").read_text())
    folder = plan_and_preprocess(request)
    # The augmentation is done here, not in workers, so that a seed gives the same batches.
    os.environ.update(nnUNet_n_proc_DA="0")
    trainer = train(request, folder)
    log = trainer.logger.local_logger.my_fantastic_logging
    seconds = sum(log["epoch_end_timestamps"]) - sum(log["epoch_start_timestamps"])
    predict(trainer, request)
    count = sum(parameter.numel() for parameter in trainer.network.parameters())
    (RUN / "training.json").write_text(json.dumps(describe(trainer, seconds, count)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
