"""Computes the figures of each structure: volumes, agreement, calibrated figures, verdict."""

import numpy as np

from fedcross.contract.verdict import Basis, PredictedDice, judge
from fedcross.infer.compute import Result
from fedcross.infer.results.summary import StructureSummary
from fedcross.model.calibration import StructureCalibration
from fedcross.uncertainty.agreement import MM3_PER_ML, StructureAgreement, compare_members
from fedcross.uncertainty.predicted_dice import DiceLine
from fedcross.uncertainty.volume_interval import VolumeScale


def summarise_structures(result: Result) -> tuple[StructureSummary, ...]:
    """Return the figures of each structure of a result, in the order of the bundle."""
    calibration = result.bundle.manifest.calibration
    labels = {structure.name: structure.label for structure in result.structures}
    voxel_mm3 = result.grid.voxel_volume_mm3
    voxel_ml = voxel_mm3 / MM3_PER_ML
    return tuple(
        _summarise(
            each,
            labels[each.name],
            np.count_nonzero(result.labels == labels[each.name]) * voxel_ml,
            calibration.of(each.name),
        )
        for each in compare_members(result.member_labels, labels, voxel_mm3)
    )


def _summarise(
    members: StructureAgreement,
    label: int,
    volume_ml: float,
    calibration: StructureCalibration | None,
) -> StructureSummary:
    predicted = predict_dice(members.mean_pairwise_dice, calibration)
    interval = volume_interval(volume_ml, members.volumes_ml, calibration)
    return StructureSummary(
        name=members.name,
        label=label,
        volume_ml=volume_ml,
        member_volumes_ml=members.volumes_ml,
        mean_ml=members.mean_ml,
        min_ml=members.min_ml,
        median_ml=members.median_ml,
        max_ml=members.max_ml,
        coefficient_of_variation=members.coefficient_of_variation,
        mean_pairwise_dice=members.mean_pairwise_dice,
        interval_ml=None if interval is None else interval[0],
        interval_coverage=None if interval is None else interval[1],
        predicted_dice=None if predicted is None else predicted.dice,
        predicted_dice_error=None if predicted is None else predicted.error,
        verdict=judge(
            volume_ml,
            members.min_ml,
            members.max_ml,
            members.mean_pairwise_dice,
            predicted=predicted,
        ),
        verdict_basis=Basis.AGREEMENT if predicted is None else Basis.PREDICTED_DICE,
    )


def predict_dice(
    agreement: float | None, calibration: StructureCalibration | None
) -> PredictedDice | None:
    """Return the Dice that a calibrated bundle predicts.

    Parameters
    ----------
    agreement
        Mean pairwise Dice; None if there is none.
    calibration
        Calibration of the structure; None if there is none.

    Returns
    -------
    PredictedDice or None
        None without agreement, or if the calibration predicts no Dice.
    """
    if agreement is None or calibration is None or calibration.predicted_dice is None:
        return None
    line = DiceLine(**calibration.predicted_dice.model_dump())
    return PredictedDice(line.predict(agreement), line.error)


def volume_interval(
    volume_ml: float, member_volumes_ml: tuple[float, ...], calibration: StructureCalibration | None
) -> tuple[tuple[float, float], float] | None:
    """Return the interval for the true volume in mL, and its coverage.

    None if the calibration has none, or the ensemble did not find the structure.
    """
    scale = VolumeScale.of(volume_ml, member_volumes_ml)
    if scale is None or calibration is None or calibration.volume is None:
        return None
    quantiles = calibration.volume
    return scale.interval(quantiles.below, quantiles.above), quantiles.coverage
