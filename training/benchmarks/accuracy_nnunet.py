"""Write the data set and the request of `nnunet_driver.py` from a run's request."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accuracy_request import Request, test_cases

from fedcross.errors import DataError
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.volumes import CaseFiles

DATASET = "Dataset001_Federation"
REQUEST = "nnunet.json"
ENDING = ".nii.gz"


@dataclass(frozen=True)
class Variant:
    """What nnU-Net's planner is told.

    Attributes
    ----------
    same_spacing
        Whether it uses the spacing of the configuration. Otherwise it chooses one.
    memory_gb
        Memory that patch and batch are planned for, GB; 8 is its default.
    planner
        Name of its planner's class; the default is that of its plain U-Net.
    deep_supervision
        Whether the loss also counts the outputs of the lower levels, as is its default.
    """

    same_spacing: bool = True
    memory_gb: float = 8.0
    planner: str = "ExperimentPlanner"
    deep_supervision: bool = True


VARIANTS = {
    "nnunet": Variant(),
    "nnunet-1gb": Variant(memory_gb=1.0),
    "nnunet-own-spacing": Variant(same_spacing=False),
    "nnunet-one-output": Variant(deep_supervision=False),
    "nnunet-residual": Variant(planner="nnUNetPlannerResEncM"),
}


def write_nnunet_request(run: Path, request: Request, variant: Variant) -> None:
    """Write nnU-Net's data set with the pooled cases of all sites, and its request.

    The data set names the files of the federation; nothing is copied.

    Parameters
    ----------
    run
        Folder of the run.
    request
        The run.
    variant
        What the planner is told.

    Raises
    ------
    DataError
        If a file is no ``.nii.gz`` file, or a site has other label values than the structures.
    """
    config = request.config
    parts: dict[str, list[str]] = {"train": [], "validation": []}
    dataset: dict[str, Any] = {}
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        if site.label_map or site.labels_missing:
            raise DataError(f"nnU-Net cannot read the labels of site {site.name}.")
        for part, names in parts.items():
            for case in getattr(cases, part):
                name = f"{site.name}-{case.name}"
                names.append(name)
                dataset[name] = {"images": [_path(case)], "label": str(case.label.resolve())}
    structures = {structure.name: structure.label for structure in config.structures}
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, **structures},
        "numTraining": len(dataset),
        "file_ending": ENDING,
        # The axes of all sites then have the same order, whatever their files have.
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
        "dataset": dataset,
    }
    folder = run / "nnunet" / "raw" / DATASET
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", "utf-8")
    content = {
        "dataset": DATASET,
        "spacing_zyx": list(config.preprocessing.spacing_mm[::-1])
        if variant.same_spacing
        else None,
        "memory_gb": variant.memory_gb,
        "planner": variant.planner,
        "deep_supervision": variant.deep_supervision,
        "steps": request.steps,
        "seed": config.seed,
        **parts,
        "test": {name: _path(case) for name, case in test_cases(config).items()},
    }
    (run / REQUEST).write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def nnunet_environment(run: Path) -> dict[str, str]:
    """Return the variables of the environment for nnU-Net: its folders, and few processes."""
    folders = {name: str(run / "nnunet" / name) for name in ("raw", "preprocessed", "results")}
    return {
        **{f"nnUNet_{name}": folder for name, folder in folders.items()},
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": "1",
        "nnUNet_compile": "f",
    }


def _path(case: CaseFiles) -> str:
    if not case.image.name.endswith(ENDING):
        raise DataError(f"nnU-Net needs {ENDING} files, got {case.image.name}.")
    return str(case.image.resolve())
