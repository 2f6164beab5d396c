"""Makes the figures that people read of a summary, see `fedcross.contract.figures`."""

from fedcross.contract.figures import StructureFigures, VolumeInterval
from fedcross.contract.verdict import Basis, PredictedDice
from fedcross.infer.results.summary import StructureSummary


def structure_figures(structure: StructureSummary) -> StructureFigures:
    """Return the figures of a structure of a summary."""
    predicted = _predicted_dice(structure)
    return StructureFigures(
        name=structure.name,
        volume=structure.volume_ml,
        mean=structure.mean_ml,
        low=structure.min_ml,
        high=structure.max_ml,
        agreement=structure.mean_pairwise_dice,
        interval=_interval(structure),
        predicted=predicted,
        judged=None if predicted is None else structure.verdict,
    )


def _interval(structure: StructureSummary) -> VolumeInterval | None:
    if structure.interval_ml is None or structure.interval_coverage is None:
        return None
    return VolumeInterval(*structure.interval_ml, structure.interval_coverage)


def _predicted_dice(structure: StructureSummary) -> PredictedDice | None:
    dice, error = structure.predicted_dice, structure.predicted_dice_error
    if structure.verdict_basis is not Basis.PREDICTED_DICE or dice is None or error is None:
        return None
    return PredictedDice(dice, error)
