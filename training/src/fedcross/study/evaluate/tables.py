"""The figures of the cases as CSV."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from fedcross.study.compare.compare import to_csv
from fedcross.study.evaluate.aggregate import LISTS, by_predictor
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.study.evaluate.figures import CaseFigures, StructureFigures
from fedcross.uncertainty.probability_calibration import CalibrationCounts

NAMES = ("site", "part", "case")
ACCURACY = ("dice", "hd95_mm", "assd_mm", "volume_error_ml", "absolute_volume_error_ml")
ENSEMBLE = (
    "agreement", "predicted_dice", "verdict", "min_ml", "max_ml", "interval_low_ml",
    "interval_high_ml", "band_ece", "band_brier", "volume_ece", "volume_brier",
)  # fmt: skip


def structure_table(evaluation: Evaluation) -> bytes:
    """Return one row per case, structure and predictor; further figures of the ensemble beside it."""

    def rows() -> Iterator[Sequence[object]]:
        yield (*NAMES, "structure", "predictor", "drawn_ml", *ACCURACY, *ENSEMBLE)
        for case in evaluation.cases:
            for name, figures in case.structures.items():
                for label, found in by_predictor(figures).items():
                    means = [
                        fmean(getattr(each, metric) for each in found) for metric in ACCURACY[:-1]
                    ]
                    means.append(fmean(abs(each.volume_error_ml) for each in found))
                    further = _of_ensemble(figures) if label == "ensemble" else [""] * len(ENSEMBLE)
                    yield (*_names(case), name, label, figures.drawn_ml, *means, *further)

    return to_csv(rows())


def voxel_table(evaluation: Evaluation) -> bytes:
    """Return one row per case, scope and score."""

    def rows() -> Iterator[Sequence[object]]:
        yield (*NAMES, "voxels", "count", "wrong", "score", "auroc", "average_precision")
        for case in evaluation.cases:
            for scope, figures in (("band", case.band), ("volume", case.volume)):
                for score, area in figures.auroc.items():
                    areas = (area, figures.average_precision[score])
                    yield (*_names(case), scope, figures.voxels, figures.wrong, score, *areas)

    return to_csv(rows())


def review_table(evaluation: Evaluation) -> bytes:
    """Return one row per case and number of corrected places."""

    def rows() -> Iterator[Sequence[object]]:
        yield (*NAMES, "places", *(f"{each}_{of}" for each in LISTS for of in ("dice", "error_ml")))
        for case in evaluation.cases:
            if case.review is None:
                continue
            curves = [getattr(case.review, each) for each in LISTS]
            for count in range(len(curves[0].dice)):
                figures = [value for c in curves for value in (c.dice[count], c.error_ml[count])]
                yield (*_names(case), count, *figures)

    return to_csv(rows())


def _names(case: CaseFigures) -> tuple[str, str, str]:
    return case.site, case.part, case.case


def _of_ensemble(figures: StructureFigures) -> list[object]:
    band, volume = (CalibrationCounts.total([each]) for each in (figures.band, figures.volume))
    return [
        figures.agreement,
        figures.predicted_dice,
        figures.verdict,
        *figures.range_ml,
        *(figures.interval_ml or ("", "")),
        band.expected_calibration_error(),
        band.brier_score(),
        volume.expected_calibration_error(),
        volume.brier_score(),
    ]
