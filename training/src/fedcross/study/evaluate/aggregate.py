"""From the figures of the cases to those of the evaluation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from fedcross.contract.verdict import GOOD_DICE, Verdict
from fedcross.model.bundle import Bundle
from fedcross.study.evaluate.evaluation import (
    FIRST_PLACES,
    LARGE_ERROR_ML,
    Calibration,
    Evaluation,
    MeanAccuracy,
    Ranking,
    ReviewEvaluation,
    Share,
    StructureEvaluation,
    VoxelEvaluation,
)
from fedcross.study.evaluate.figures import (
    Accuracy,
    CaseFigures,
    Curve,
    ReviewFigures,
    StructureFigures,
    VoxelFigures,
)
from fedcross.study.evaluate.request import EvaluationOptions
from fedcross.uncertainty.probability_calibration import CalibrationCounts
from fedcross.uncertainty.selective import rank_correlation, risk_coverage

LISTS = ("ranked", "random", "limit")


def summarise(
    bundle: Bundle, cases: Sequence[CaseFigures], options: EvaluationOptions
) -> Evaluation:
    """Return the evaluation of a bundle from the figures of its cases.

    Parameters
    ----------
    bundle
        The bundle.
    cases
        The figures of at least one case.
    options
        How they were computed.
    """
    drawn = [each.name for each in bundle.manifest.structures]
    reviews = [case.review for case in cases if case.review is not None]
    large = [each for each in reviews if each.ranked.error_ml[0] >= LARGE_ERROR_ML]
    return Evaluation(
        bundle=bundle.manifest.name,
        sha256=bundle.sha256,
        members=len(bundle.manifest.members),
        band_mm=options.band_mm,
        measure=options.segmentation.measure,
        structures={
            name: _structure([case for case in cases if name in case.structures], name)
            for name in drawn
            if any(name in case.structures for case in cases)
        },
        voxels={
            "band": _voxels([case.band for case in cases]),
            "volume": _voxels([case.volume for case in cases]),
        },
        review=_review(reviews),
        review_large_errors=_review(large),
        cases=tuple(cases),
    )


def by_predictor(structure: StructureFigures) -> dict[str, list[Accuracy]]:
    """Return the accuracies of each predictor of a case; the mean over the members has several."""
    found = {"ensemble": [structure.ensemble]}
    if len(structure.members) > 1:
        found["mean of the members"] = list(structure.members)
    for index, each in enumerate(structure.members, start=1):
        found[f"member {index}"] = [each]
    for count, each in enumerate(structure.first_members, start=2):
        found[f"first {count} members"] = [each]
    return found


def _structure(cases: Sequence[CaseFigures], name: str) -> StructureEvaluation:
    figures = [case.structures[name] for case in cases]
    predictors = [by_predictor(each) for each in figures]
    sites = dict.fromkeys(case.site for case in cases)
    intervals = [each for each in figures if each.interval_ml is not None]
    return StructureEvaluation(
        predictors={label: _mean([each[label] for each in predictors]) for label in predictors[0]},
        sites={
            site: _mean([[case.structures[name].ensemble] for case in cases if case.site == site])
            for site in sites
        },
        calibration={
            "band": _calibration([each.band for each in figures]),
            "volume": _calibration([each.volume for each in figures]),
        },
        rankings={
            label: ranking
            for label, of in _CONFIDENCES.items()
            if (ranking := _ranking(figures, of)) is not None
        },
        verdicts={verdict: _good_and_not(figures, verdict) for verdict in Verdict},
        in_range=Share(
            count=sum(_inside(each.drawn_ml, each.range_ml) for each in figures), cases=len(figures)
        ),
        in_interval=Share(
            count=sum(_inside(each.drawn_ml, each.interval_ml) for each in intervals),
            cases=len(intervals),
        ),
    )


_CONFIDENCES: Mapping[str, Callable[[StructureFigures], float | None]] = {
    "agreement": lambda figures: figures.agreement,
    "predicted Dice": lambda figures: figures.predicted_dice,
}


def _mean(cases: Sequence[Sequence[Accuracy]]) -> MeanAccuracy:
    """Return the means over cases, and over the accuracies of each."""

    def mean(of: Callable[[Accuracy], float]) -> float:
        return fmean(fmean(map(of, case)) for case in cases)

    return MeanAccuracy(
        cases=len(cases),
        dice=mean(lambda each: each.dice),
        hd95_mm=mean(lambda each: each.hd95_mm),
        assd_mm=mean(lambda each: each.assd_mm),
        volume_error_ml=mean(lambda each: each.volume_error_ml),
        absolute_volume_error_ml=mean(lambda each: abs(each.volume_error_ml)),
    )


def _calibration(records: Sequence[Mapping[str, list[float]]]) -> Calibration:
    counts = CalibrationCounts.total(records)
    each = [CalibrationCounts.total([record]) for record in records]
    return Calibration(
        ece=counts.expected_calibration_error(),
        brier=counts.brier_score(),
        case_ece=_mean_known(one.expected_calibration_error() for one in each),
        case_brier=_mean_known(one.brier_score() for one in each),
        curve=tuple(counts.curve()),
    )


def _mean_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _ranking(
    figures: Sequence[StructureFigures], confidence_of: Callable[[StructureFigures], float | None]
) -> Ranking | None:
    pairs = [
        (confidence, each.ensemble.dice)
        for each in figures
        if (confidence := confidence_of(each)) is not None
    ]
    confidences, dices = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = risk_coverage(confidences, [1 - dice for dice in dices])
    if found is None:
        return None
    return Ranking(
        cases=len(pairs),
        aurc=found.aurc,
        excess_aurc=found.excess_aurc,
        random_aurc=found.random_aurc,
        spearman=rank_correlation(confidences, dices),
        coverage=found.coverage,
        risk=found.risk,
    )


def _good_and_not(figures: Sequence[StructureFigures], verdict: str) -> tuple[int, int]:
    good = [each.ensemble.dice >= GOOD_DICE for each in figures if each.verdict == verdict]
    return sum(good), len(good) - sum(good)


def _inside(value: float, interval: tuple[float, float] | None) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


def _voxels(cases: Sequence[VoxelFigures]) -> VoxelEvaluation:
    known = [each for each in cases if 0 < each.wrong < each.voxels]
    return VoxelEvaluation(
        cases=len(known),
        wrong_share=fmean(each.wrong / each.voxels for each in known) if known else None,
        auroc=_mean_by_score([each.auroc for each in known]),
        average_precision=_mean_by_score([each.average_precision for each in known]),
    )


def _mean_by_score(cases: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    names = cases[0] if cases else ()
    return {name: fmean(each[name] or 0.0 for each in cases) for name in names}


def _review(cases: Sequence[ReviewFigures]) -> ReviewEvaluation | None:
    if not cases:
        return None
    wrong = [each for each in cases if each.ranked.error_ml[0] > 0]
    return ReviewEvaluation(
        cases=len(cases),
        ranked=_mean_curve([each.ranked for each in cases]),
        random=_mean_curve([each.random for each in cases]),
        limit=_mean_curve([each.limit for each in cases]),
        found_share={
            name: fmean(_found_share(getattr(each, name)) for each in wrong) if wrong else None
            for name in LISTS
        },
    )


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    return Curve(
        dice=tuple(map(fmean, zip(*(each.dice for each in curves), strict=True))),
        error_ml=tuple(map(fmean, zip(*(each.error_ml for each in curves), strict=True))),
    )


def _found_share(curve: Curve) -> float:
    return 1 - curve.error_ml[FIRST_PLACES] / curve.error_ml[0]
