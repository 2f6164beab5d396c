"""One test case as every method segments it, for the page of a comparison."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from fedcross.ensemble.label_map import label_map
from fedcross.strategies.member import MemberState
from fedcross.study.compare.kept_labels import KeptLabels, labels_key
from fedcross.study.compare.results import RunFigures, by_case
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.check.report import PERCENTILES, Picture
from fedcross.training.data.check.slices import coarsest_axis, draw_slice
from fedcross.training.data.reading import read_case
from fedcross.training.data.volumes import CaseFiles, Site
from fedcross.training.evaluation.prediction import load_predictor
from fedcross.training.evaluation.testing import prepare_case
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import RunFolder

DRAWN = "drawn"


@dataclass(frozen=True)
class Example:
    """A slice of a test case with the outlines of every method.

    Attributes
    ----------
    site, case
        Names of the site and the case.
    pictures
        The slice with the drawn label map, under `DRAWN`, and then with the label map that each method
        found, by the method's label.
    dices
        Dice of the whole case, as a mean over its structures, by the method's label.
    """

    site: str
    case: str
    pictures: Mapping[str, Picture]
    dices: Mapping[str, float]


def choose_case(runs: Sequence[RunFigures], label: str) -> tuple[str, str] | None:
    """Choose the test case whose Dice is the median of a method; of two middle ones the worse.

    Parameters
    ----------
    runs
        The method's runs, one per seed.
    label
        The method's label.

    Returns
    -------
    tuple of str or None
        Names of the site and the case; None without test cases.
    """
    cases = by_case([run.scores[label] for run in runs], "dice")
    ranked = sorted(cases, key=lambda case: (cases[case], case))
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def draw_example(
    case: CaseFiles,
    site: Site,
    runs: Mapping[str, RunFolder],
    figures: Mapping[str, RunFigures],
    kept: KeptLabels,
    log: Callable[[str], None],
) -> Example:
    """Segment a test case with every method; it is computed on the processor.

    Parameters
    ----------
    case
        The case.
    site
        Its site.
    runs
        A finished run of each method, by the method's label.
    figures
        The figures of these runs.
    kept
        Label maps of earlier calls, which are not computed again; it gets the new ones.
    log
        Receives a sentence before a method segments the case.

    Raises
    ------
    DataError, CheckpointError, OutputError
        If the case cannot be read, a run is damaged, or a label map cannot be kept.
    """
    image, truth = read_case(case, site.label_map, site.name)
    labels = {DRAWN: truth}
    for label, run in runs.items():
        key = labels_key(case, site, run)
        found = kept.read(key, truth.shape)
        if found is None:
            log(f"Segmenting the test case of the page with {label}")
            found = find_labels(case, image, site, run)
            kept.write(key, found)
        labels[label] = np.where(np.isin(found, site.missing), 0, found).astype(np.uint8)
    kept.drop_others()
    dices = {
        label: by_case([each.scores[label]], "dice")[site.name, case.name]
        for label, each in figures.items()
    }
    return Example(site.name, case.name, _pictures(image, labels), dices)


def find_labels(
    case: CaseFiles, image: sitk.Image, site: Site, run: RunFolder
) -> NDArray[np.uint8]:
    """The label map of a run on the grid of the image; a personal method uses the site's own model."""
    config = run.configuration()
    predictor = load_predictor(_members(config, site, run), config, torch.device("cpu"))
    prepared = prepare_case(case, image, site.name, config.preprocessing)
    mean, _ = predictor.probabilities(prepared.array)
    return label_map(mean, prepared)


def _members(config: TrainingConfig, site: Site, run: RunFolder) -> Sequence[MemberState]:
    members = load_members(run, "kept").predictors
    if not config.method.is_personal:
        return members
    return [members[[each.name for each in config.sites].index(site.name)]]


def _pictures(image: sitk.Image, labels: Mapping[str, NDArray[np.uint8]]) -> dict[str, Picture]:
    """The slice with most drawn voxels, across the axis with the largest spacing."""
    upright = sitk.DICOMOrient(image, "LPS")
    voxels, spacing = sitk.GetArrayViewFromImage(upright), upright.GetSpacing()[::-1]
    axis = coarsest_axis(spacing)
    window = np.percentile(voxels, (PERCENTILES[0], PERCENTILES[-1]))
    oriented = {label: _orient(each, image) for label, each in labels.items()}
    others = tuple({0, 1, 2} - {axis})
    index = int(np.argmax(np.count_nonzero(oriented[DRAWN], axis=others)))
    return {
        label: draw_slice(voxels, each, spacing, axis, index, (float(window[0]), float(window[1])))
        for label, each in oriented.items()
    }


def _orient(labels: NDArray[np.uint8], image: sitk.Image) -> NDArray[np.uint8]:
    """The label map on the grid of an image, (D, H, W), in LPS orientation."""
    volume = sitk.GetImageFromArray(labels)
    volume.CopyInformation(image)
    return np.asarray(sitk.GetArrayFromImage(sitk.DICOMOrient(volume, "LPS")), np.uint8)
