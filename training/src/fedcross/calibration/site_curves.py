"""Compute a site's curves from its labelled cases, segmented with the bundle."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

import numpy as np
import scipy
from numpy.typing import NDArray

from fedcross.calibration.border_sample import BorderSample
from fedcross.calibration.curves import (
    LikelihoodCurve,
    LossCurve,
    SiteCurves,
    StructureCurves,
)
from fedcross.calibration.labelled_cases import LabelledCase
from fedcross.calibration.segmented_cases import SegmentedCase, segment_case
from fedcross.contract.request import RequestOptions
from fedcross.infer.models import Models
from fedcross.infer.results.summary import StructureSummary
from fedcross.model.bundle import Bundle
from fedcross.uncertainty.agreement import MM3_PER_ML, dice
from fedcross.uncertainty.contours import inner_losses, outer_losses, signed_distance
from fedcross.uncertainty.predicted_dice import count_cases
from fedcross.uncertainty.temperature import TEMPERATURES, likelihood_sums
from fedcross.uncertainty.volume_interval import VolumeScale, count_scores, count_widths
from fedcross.volumes.structure import Structure

TEMPERATURE_CASES = 12
"""Cases of a site from which the temperature is fitted; more do not change it."""

Progress = Callable[[], None]


def measure_likelihood(
    cases: Sequence[LabelledCase],
    bundle: Bundle,
    *,
    options: RequestOptions,
    models: Models,
    progress: Progress,
) -> LikelihoodCurve:
    """Return the likelihood curve of the first `TEMPERATURE_CASES` cases of a site.

    Parameters
    ----------
    cases
        Labelled cases of one site. Those without a border count as no case.
    bundle
        The opened bundle.
    options, models
        See `segment_case`.
    progress
        Called after each case.
    """
    curves = []
    for case in cases[:TEMPERATURE_CASES]:
        curves.append(case_likelihood(case, models, bundle=bundle, options=options))
        progress()
    return add_likelihoods(curves)


def case_likelihood(
    case: LabelledCase, models: Models, *, bundle: Bundle, options: RequestOptions
) -> LikelihoodCurve:
    """Return the likelihood curve of one case, see `measure_likelihood`."""
    manifest, samples = bundle.manifest, list[BorderSample]()

    def observe(truth: NDArray[np.uint8]) -> BorderSample:
        samples.append(BorderSample(truth, len(manifest.members), manifest.architecture.classes))
        return samples[-1]

    segment_case(
        case,
        bundle,
        lambda _: None,
        options=options,
        measures=(),
        observe=observe,
        models=models,
    )
    return _likelihood(samples[-1], manifest.calibration.temperature)


def add_likelihoods(curves: Sequence[LikelihoodCurve]) -> LikelihoodCurve:
    """Return the curve of all cases of a site; of none, without any."""
    return reduce(add, curves, LikelihoodCurve(cases=0, sums=(0.0,) * len(TEMPERATURES)))


def _likelihood(sample: BorderSample, temperature: float) -> LikelihoodCurve:
    count = len(sample.labels)
    sums = likelihood_sums(sample.probabilities, sample.labels, temperature)
    return LikelihoodCurve(cases=int(count > 0), sums=tuple((sums / max(1, count)).tolist()))


def measure_curves(
    cases: Sequence[LabelledCase],
    bundle: Bundle,
    *,
    options: RequestOptions,
    models: Models,
    progress: Progress,
) -> SiteCurves:
    """Return the curves of all labelled cases of one site.

    Parameters
    ----------
    cases
        Labelled cases of one site.
    bundle
        The opened bundle, with the temperature that it is to have.
    options, models
        See `segment_case`.
    progress
        Called after each case.
    """
    found = []
    for case in cases:
        found.append(segmented_curves(case, models, bundle=bundle, options=options))
        progress()
    return add_curves(found, bundle.manifest.calibration.temperature)


def segmented_curves(
    case: LabelledCase, models: Models, *, bundle: Bundle, options: RequestOptions
) -> list[StructureCurves]:
    """Segment one case and return its curves, see `case_curves`."""
    return segment_case(case, bundle, case_curves, options=options, measures=(), models=models)


def add_curves(cases: Sequence[Sequence[StructureCurves]], temperature: float) -> SiteCurves:
    """Return the curves of a site from those of its cases."""
    found: dict[str, list[StructureCurves]] = {}
    for case in cases:
        for curves in case:
            found.setdefault(curves.name, []).append(curves)
    return SiteCurves(
        cases=len(cases),
        temperature=temperature,
        structures=tuple(reduce(add, each) for each in found.values()),
    )


def case_curves(case: SegmentedCase) -> list[StructureCurves]:
    """Return the curves of one segmented case, for each structure that was drawn in it."""
    summaries = {each.name: each for each in case.summary.structures}
    return [
        _structure_curves(case, structure, summaries[structure.name])
        for structure in case.structures
    ]


def _structure_curves(
    case: SegmentedCase, structure: Structure, summary: StructureSummary
) -> StructureCurves:
    grid = case.result.grid
    box = _box_of(case, structure)
    truth = case.truth[box] == structure.label
    found = case.result.labels[box] == structure.label
    true_ml = int(truth.sum()) * grid.voxel_volume_mm3 / MM3_PER_ML
    scale = VolumeScale.of(summary.volume_ml, summary.member_volumes_ml)
    below, above = count_scores([] if scale is None else [scale.score(true_ml)]).tolist()
    widths = count_widths([] if scale is None else [scale.width]).tolist()
    agreement = summary.mean_pairwise_dice
    pairs = [] if agreement is None else [agreement]
    dices = [dice(truth, found) for _ in pairs]
    z, y, x = grid.spacing_mm[::-1]
    distances = signed_distance(found, (z, y, x))
    return StructureCurves(
        name=structure.name,
        cases=1,
        dice=tuple(map(tuple, count_cases(np.array(pairs), np.array(dices)).tolist())),
        volume_below=tuple(below),
        volume_above=tuple(above),
        inner=LossCurve.of(inner_losses(distances, truth)),
        outer=LossCurve.of(outer_losses(distances, truth)),
        volume_widths=tuple(widths),
    )


def _box_of(case: SegmentedCase, structure: Structure) -> tuple[slice, ...]:
    """Return the box around what was drawn and what was found, and a voxel more on every side.

    Distances between voxels in it are the same as in the whole volume.
    """
    either = (case.truth == structure.label) | (case.result.labels == structure.label)
    (box,) = scipy.ndimage.find_objects(either.view(np.uint8)) or [(slice(0, 1),) * 3]
    return tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
