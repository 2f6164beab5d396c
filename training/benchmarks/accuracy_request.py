"""The request of a run of `accuracy.py`, as a file in its folder, and the scores of its predictions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.data.reading import read_case
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.volumes import CaseFiles
from fedcross.training.evaluation.prediction import dice_by_structure

REQUEST, TRAINING, PREDICTIONS = "request.json", "training.json", "predictions"
Score = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A run.

    Attributes
    ----------
    config
        Configuration with the splits and the seed of the run. Runs that are not ours take the cases,
        the spacing, the patch and the optimiser from it.
    steps
        Number of optimiser steps, over all models.
    """

    config: TrainingConfig
    steps: int


def write_request(run: Path, request: Request) -> None:
    """Write the request into the folder of the run."""
    content = {
        "configuration": request.config.model_dump(mode="json"),
        "data_root": str(request.config.data_root),
        "steps": request.steps,
    }
    (run / REQUEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_request(run: Path) -> Request:
    """Read the request of a run."""
    content = json.loads((run / REQUEST).read_text(encoding="utf-8"))
    config = parse_config(content["configuration"], source=REQUEST)
    root = Path(content["data_root"])
    return Request(config.model_copy(update={"data_root": root}), content["steps"])


def test_cases(config: TrainingConfig) -> dict[str, CaseFiles]:
    """Return the test cases of all sites by ``<site>-<case>``."""
    return {
        f"{site.name}-{case.name}": case
        for site, cases in zip(config.sites, find_all_cases(config), strict=True)
        for case in cases.test
    }


def score_predictions(config: TrainingConfig, folder: Path) -> list[Score]:
    """Compute the Dice of predicted label maps, each on the grid of its image.

    Parameters
    ----------
    config
        The configuration, with the test cases.
    folder
        Folder with a file ``<site>-<case>.nii.gz`` for every test case.

    Returns
    -------
    list of dict
        ``{"site", "case", "structure", "dice"}`` for every test case and structure.

    Raises
    ------
    DataError
        If a prediction is missing or has another grid than its image.
    """
    scores = []
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        for case in cases.test:
            image, truth = read_case(case, site.mapping(config.structures), site.name)
            path = folder / f"{site.name}-{case.name}.nii.gz"
            if not path.is_file():
                raise DataError(f"There is no prediction {path.name}.")
            found = sitk.ReadImage(str(path), sitk.sitkUInt8)
            if found.GetSize() != image.GetSize():
                raise DataError(f"The prediction {path.name} has another size than its image.")
            dices = dice_by_structure(sitk.GetArrayFromImage(found), truth, config.structures)
            scores += _rows(site.name, case.name, dices)
    return scores


def score_test_file(test: Mapping[str, Any]) -> list[Score]:
    """Return the same of the ``test.json`` of one of our runs, which the same function computed."""
    scores = []
    for site, figures in test["sites"].items():
        for case, found in figures["cases"].items():
            scores += _rows(site, case, found["ensemble"])
    return scores


def _rows(site: str, case: str, dices: Mapping[str, float]) -> list[Score]:
    return [
        {"site": site, "case": case, "structure": name, "dice": dice}
        for name, dice in dices.items()
    ]
