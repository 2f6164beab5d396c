"""The figures of an evaluation over all its cases, as `evaluation.json` stores them."""

from fedcross.study.evaluate.figures import CaseFigures, Curve, Figures

LARGE_ERROR_ML = 1.0
"""Cases with at least this much wrong volume are also given on their own in the review."""
FIRST_PLACES = 10
"""The share of the error is given that so many places hold."""


class MeanAccuracy(Figures):
    """Means over cases; `volume_error_ml` is signed, `absolute_volume_error_ml` is not."""

    cases: int
    dice: float
    hd95_mm: float
    assd_mm: float
    volume_error_ml: float
    absolute_volume_error_ml: float


class Calibration(Figures):
    """Calibration of a structure's probability over all cases.

    `ece` and `brier` are of the pooled voxels, `case_ece` and `case_brier` means over the cases; `curve`
    has the mean probability, the share of the structure and the number of voxels of each bin.
    """

    ece: float | None
    brier: float | None
    case_ece: float | None
    case_brier: float | None
    curve: tuple[tuple[float, float, int], ...]


class Ranking(Figures):
    """How well a confidence ranks the cases by 1 - Dice; see `fedcross.uncertainty.selective`."""

    cases: int
    aurc: float
    excess_aurc: float
    random_aurc: float
    spearman: float | None
    coverage: tuple[float, ...]
    risk: tuple[float, ...]


class Share(Figures):
    """A number of cases among all that have the figure."""

    count: int
    cases: int


class StructureEvaluation(Figures):
    """One structure over all cases.

    Attributes
    ----------
    predictors
        Mean accuracy by predictor: ``ensemble``, ``member 1`` ..., ``mean of the members``, ``first 2
        members`` ...
    sites
        Mean accuracy of the ensemble by site.
    calibration
        By scope: ``band`` and ``volume``.
    rankings
        By confidence: ``agreement`` and ``predicted Dice``, as far as the cases have them.
    verdicts
        Number of cases by verdict, [good, not good]: good is a Dice of at least
        `fedcross.contract.verdict.GOOD_DICE`.
    in_range, in_interval
        How often the drawn volume lies between the smallest and the largest member, and in the interval
        of the summary.
    """

    predictors: dict[str, MeanAccuracy]
    sites: dict[str, MeanAccuracy]
    calibration: dict[str, Calibration]
    rankings: dict[str, Ranking]
    verdicts: dict[str, tuple[int, int]]
    in_range: Share
    in_interval: Share


class VoxelEvaluation(Figures):
    """Means over the cases with wrong voxels, by score; None if there is no such case."""

    cases: int
    wrong_share: float | None
    auroc: dict[str, float | None]
    average_precision: dict[str, float | None]


class ReviewEvaluation(Figures):
    """Mean curves over the cases, and the mean share of the wrong volume in the first places.

    `found_share` is by list: ``ranked``, ``random``, ``limit``; None if no case has an error.
    """

    cases: int
    ranked: Curve
    random: Curve
    limit: Curve
    found_share: dict[str, float | None]


class Evaluation(Figures):
    """All figures of an evaluation.

    Attributes
    ----------
    bundle, sha256, members
        Name, identity and number of members of the bundle.
    band_mm
        Width of the band.
    measure
        The requested measure.
    structures
        By the name of the structure.
    voxels
        By scope.
    review, review_large_errors
        Over all cases, and over those with at least `LARGE_ERROR_ML` of wrong voxels; None without
        such a case.
    cases
        The figures of every case.
    """

    bundle: str
    sha256: str
    members: int
    band_mm: float
    measure: str
    structures: dict[str, StructureEvaluation]
    voxels: dict[str, VoxelEvaluation]
    review: ReviewEvaluation | None
    review_large_errors: ReviewEvaluation | None
    cases: tuple[CaseFigures, ...]
