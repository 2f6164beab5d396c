"""Evaluate the ensemble and its members on the test cases, on each image's own grid.

The label maps are those that a user of the bundle would get. The figures are Dice, distances between
surfaces, and how often voxels are wrong depending on the members' spread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from fedcross.ensemble.label_map import label_map
from fedcross.errors import DataError
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.reading import read_case, read_further, with_case_name
from fedcross.training.data.volumes import CaseFiles, Site
from fedcross.training.evaluation.prediction import (
    Dices,
    Predictor,
    dice_by_structure,
    drawn_structures,
    load_predictor,
)
from fedcross.training.evaluation.surface import surface_by_structure
from fedcross.uncertainty.reliability import Reliability
from fedcross.uncertainty.statistics import EnsembleStatistics
from fedcross.volumes.prepare import Prepared, prepare, resample_to_source
from fedcross.volumes.preprocessing import Preprocessing


def evaluate_test(
    members: Sequence[MemberState],
    sites: Sequence[Site],
    config: TrainingConfig,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate ensemble and members on the test cases of all sites.

    Parameters
    ----------
    members
        The members; their mean probability is the ensemble's prediction.
    sites
        The sites with their test cases.
    config
        The run's configuration.
    device
        Device to compute on.
    progress
        Called with (cases evaluated, cases in total) after every case.

    Returns
    -------
    dict
        ``{"mean": {"ensemble": d, "members": [d, ...]}, "sites": {site: figures}}`` with figures
        ``{"ensemble": {structure: d}, "members": [{structure: d}, ...], "reliability": counts,
        "cases": {case: figures}}``. Every d is a Dice. The Dices of a site are means over its cases;
        those of "mean" are means over all cases and structures, and "mean" is None without test
        cases. A structure that is in neither label map counts 1. Structures that were not drawn at a
        site are not evaluated there. Sites without test cases are left out.

        The figures of a case also have ``"surface": {"ensemble": {structure: {"hd95_mm": h,
        "assd_mm": a}}, "members": [the same for each member]}``, see `surface`. The counts of
        "reliability", see `Reliability`, are over all cases of a site; None for a single member.

    Raises
    ------
    DataError
        If a test case cannot be used.
    """
    predictor = load_predictor(members, config, device)
    total = sum(len(site.test) for site in sites)
    done = 0
    by_site: dict[str, Any] = {}
    for site in sites:
        cases, counts = {}, Reliability()
        for case in site.test:
            cases[case.name] = _evaluate_case(case, site, predictor, counts)
            done += 1
            if progress is not None:
                progress(done, total)
        if cases:
            means = _mean_figures(list(cases.values()))
            reliability = counts.record() if len(members) > 1 else None
            by_site[site.name] = {**means, "reliability": reliability, "cases": cases}
    everything = [figures for site in by_site.values() for figures in site["cases"].values()]
    return {"mean": _overall(everything), "sites": by_site}


def _evaluate_case(
    case: CaseFiles, site: Site, predictor: Predictor, counts: Reliability
) -> dict[str, Any]:
    """Compute the figures of one case and add its voxels to `counts`."""
    config = predictor.config
    image, truth = read_case(case, site.label_map, site.name)
    prepared = prepare_case(case, image, site.name, config.preprocessing)
    mean, each = predictor.probabilities(prepared.array)
    found = [label_map(probabilities, prepared) for probabilities in (mean, *each)]
    statistics = EnsembleStatistics(mean.shape, ["std"])
    for probabilities in each:
        statistics.update(probabilities)
    # The background may contain structures that were not drawn: they count as background here.
    predicted = np.where(np.isin(found[0], site.missing), 0, found[0])
    counts.add(resample_to_source(statistics.std(), prepared), predicted != truth)
    structures, spacing = drawn_structures(config.structures, site.missing), image.GetSpacing()
    dices = [dice_by_structure(labels, truth, structures) for labels in found]
    surfaces = [
        {name: asdict(distances) for name, distances in by_structure.items()}
        for by_structure in (
            surface_by_structure(labels, truth, structures, spacing) for labels in found
        )
    ]
    return {**_first_and_rest(dices), "surface": _first_and_rest(surfaces)}


def prepare_case(
    case: CaseFiles, image: sitk.Image, site: str, preprocessing: Preprocessing
) -> Prepared:
    """Prepare the first image of a case together with those of the further channels.

    Raises
    ------
    DataError
        If an image cannot be used; the sentence names case and site.
    """
    try:
        return prepare(image, preprocessing, read_further(case))
    except DataError as error:
        raise with_case_name(error, case, site) from error


def _first_and_rest(figures: Sequence[Any]) -> dict[str, Any]:
    """Figures of the ensemble, which come first, and of the members."""
    return {"ensemble": figures[0], "members": list(figures[1:])}


def _mean_figures(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The Dices of ensemble and members by structure, as means over the cases."""
    count = len(cases[0]["members"])
    return {
        "ensemble": _mean_dices([case["ensemble"] for case in cases]),
        "members": [_mean_dices([case["members"][k] for case in cases]) for k in range(count)],
    }


def _mean_dices(dices: Sequence[Dices]) -> Dices:
    return {name: fmean(each[name] for each in dices) for name in dices[0]}


def _overall(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The Dices of ensemble and members as means over all cases and structures."""
    if not cases:
        return None
    count = len(cases[0]["members"])
    return {
        "ensemble": fmean(d for case in cases for d in case["ensemble"].values()),
        "members": [
            fmean(d for case in cases for d in case["members"][k].values()) for k in range(count)
        ],
    }
