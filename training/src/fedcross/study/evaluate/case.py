"""All figures of one segmented case."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.calibration.segmented_cases import SegmentedCase
from fedcross.infer.results.summary import StructureSummary
from fedcross.study.evaluate.accuracy import measure_accuracy
from fedcross.study.evaluate.figures import Accuracy, CaseFigures, StructureFigures
from fedcross.study.evaluate.review import simulate_review
from fedcross.study.evaluate.voxels import Scores, near_borders
from fedcross.uncertainty.agreement import MM3_PER_ML
from fedcross.uncertainty.probability_calibration import CalibrationCounts
from fedcross.volumes.structure import Structure

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _LabelMaps:
    """Label maps (z, y, x) of one case, without the structures that were not drawn.

    Attributes
    ----------
    truth, ensemble
        The drawn one, and the ensemble's.
    members, first_members
        Those of each member, and of the ensemble of the first 2 ... K members.
    """

    truth: Labels
    ensemble: Labels
    members: list[Labels]
    first_members: list[Labels]


def measure_case(
    segmented: SegmentedCase, first_members: Sequence[Labels], band_mm: float
) -> CaseFigures:
    """Compute the figures of a case.

    Structures that were not drawn are background in every label map here.

    Parameters
    ----------
    segmented
        The case; its temporary files are open.
    first_members
        Label maps of the ensemble of the first 1 ... K members, uint8 (z, y, x).
    band_mm
        Voxels at most this far from a border are near the structures, mm.
    """
    case, result = segmented.case, segmented.result
    maps = _LabelMaps(
        segmented.truth,
        _without(result.labels, case.missing),
        [_without(np.asarray(each), case.missing) for each in result.member_labels],
        [_without(each, case.missing) for each in first_members[1:]],
    )
    near = near_borders(maps.truth, maps.ensemble, result.grid.spacing_mm, band_mm)
    summaries = {each.name: each for each in segmented.summary.structures}
    structures = {
        each.name: _measure_structure(segmented, each, summaries[each.name], maps, near)
        for each in segmented.structures
    }
    wrong, scores = maps.ensemble != maps.truth, Scores.of(result)
    drawn = [each.label for each in segmented.structures]
    seed = zlib.crc32(f"{case.site}/{case.part}/{case.name}".encode())
    return CaseFigures(
        site=case.site,
        part=case.part,
        case=case.name,
        structures=structures,
        band=scores.figures(wrong, near),
        volume=scores.figures(wrong),
        review=simulate_review(result, maps.ensemble, maps.truth, drawn, seed=seed)
        if drawn
        else None,
    )


def _measure_structure(
    segmented: SegmentedCase,
    structure: Structure,
    summary: StructureSummary,
    maps: _LabelMaps,
    near: Mask,
) -> StructureFigures:
    grid = segmented.result.grid

    def accuracy(found: Labels) -> Accuracy:
        return measure_accuracy(found, maps.truth, structure.label, grid)

    drawn = maps.truth == structure.label
    probability = segmented.result.probability(structure)
    band, volume = CalibrationCounts(), CalibrationCounts()
    band.add(probability[near], drawn[near])
    volume.add(probability, drawn)
    return StructureFigures(
        drawn_ml=np.count_nonzero(drawn) * grid.voxel_volume_mm3 / MM3_PER_ML,
        ensemble=accuracy(maps.ensemble),
        members=tuple(map(accuracy, maps.members)),
        first_members=tuple(map(accuracy, maps.first_members)),
        agreement=summary.mean_pairwise_dice,
        predicted_dice=summary.predicted_dice,
        verdict=summary.verdict,
        range_ml=(summary.min_ml, summary.max_ml),
        interval_ml=summary.interval_ml,
        band=band.record(),
        volume=volume.record(),
    )


def _without(labels: Labels, missing: Collection[int]) -> Labels:
    """Return a label map in which some labels are background."""
    return np.where(np.isin(labels, list(missing)), np.uint8(0), labels) if missing else labels
