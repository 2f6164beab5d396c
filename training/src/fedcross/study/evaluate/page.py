"""The page of an evaluation: its tables, its figures and their explanations."""

from collections.abc import Mapping, Sequence

from fedcross.contract.plain_text import counted, plain_text
from fedcross.contract.verdict import GOOD_DICE
from fedcross.study.evaluate import plots
from fedcross.study.evaluate.evaluation import (
    FIRST_PLACES,
    LARGE_ERROR_ML,
    Evaluation,
    MeanAccuracy,
    ReviewEvaluation,
    StructureEvaluation,
)
from fedcross.study.evaluate.figures import BORDER, CONFIDENCE
from fedcross.study.page import figure, note, page, table

NONE = "–"
ACCURACY = ("Dice", "HD95, mm", "surface distance, mm", "volume error, mL", "absolute error, mL")
VERDICTS = {"agree": "likely good, or members agree", "look": "look at it"}
VERDICTS |= {"distrust": "do not trust", "absent": "not found"}
TITLES = {"ranked": "list of hot spots", "random": "at random", "limit": "most errors first"}


def evaluation_page(evaluation: Evaluation) -> str:
    """Return the page as HTML."""
    cases, sites = len(evaluation.cases), len({case.site for case in evaluation.cases})
    lead = (
        f"Bundle {plain_text(evaluation.bundle)}, SHA-256 {evaluation.sha256[:12]}..., "
        f"{counted(evaluation.members, 'member')}. Measured on {counted(cases, 'case')} of "
        f"{counted(sites, 'site')}. {NONE} stands for a figure that these cases do not have."
    )
    return page(
        "Evaluation",
        lead,
        {
            "Accuracy": _accuracy(evaluation),
            "Which voxels are wrong": _voxels(evaluation),
            "Probabilities": _probabilities(evaluation),
            "Which cases are good": _rankings(evaluation),
            "Verdicts and volumes": _verdicts(evaluation),
            "Review": _review(evaluation),
        },
    )


def _accuracy(evaluation: Evaluation) -> list[str]:
    parts: list[str] = []
    for name, each in evaluation.structures.items():
        parts.append(note(f"{plain_text(name)}, by predictor"))
        parts.append(_means(each.predictors, reference=0))
        parts.append(note(f"{plain_text(name)}, ensemble by site"))
        parts.append(_means(each.sites))
    return [
        *parts,
        note(
            "Means over the cases, on the grid of each image. Ensemble: the segmentation of the "
            "bundle. Mean of the members: the mean of the members' figures. First N members: the "
            "ensemble of these alone. HD95: 95th percentile of the Hausdorff distance. Surface "
            "distance: average symmetric. Volume error: found minus drawn. A structure that is "
            "missed, or found where there is none, counts as Dice 0 and as the volume's diagonal in "
            "mm; an empty segmentation of an empty structure as Dice 1 and 0 mm. Structures that "
            "were not drawn in a case are left out there."
        ),
    ]


def _means(rows: Mapping[str, MeanAccuracy], reference: int | None = None) -> str:
    return table(
        ["", "cases", *ACCURACY],
        [
            [
                plain_text(label),
                str(each.cases),
                f"{each.dice:.3f}",
                f"{each.hd95_mm:.2f}",
                f"{each.assd_mm:.2f}",
                f"{each.volume_error_ml:+.2f}",
                f"{each.absolute_volume_error_ml:.2f}",
            ]
            for label, each in rows.items()
        ],
        reference,
    )


def _voxels(evaluation: Evaluation) -> list[str]:
    band, volume = evaluation.voxels["band"], evaluation.voxels["volume"]
    rows = [
        [
            score,
            _number(band.auroc[score]),
            _number(band.average_precision[score]),
            _number(volume.auroc.get(score)),
            _number(volume.average_precision.get(score)),
        ]
        for score in sorted(band.auroc, key=lambda score: -(band.auroc[score] or 0))
    ]
    near = f"within {evaluation.band_mm:g} mm"
    heading = ["", f"AUROC, {near}", f"AUPR, {near}", "AUROC, all voxels", "AUPR, all voxels"]
    shares = ", ".join(
        f"{_number(each.wrong_share)} {where}"
        for each, where in ((band, near), (volume, "of all voxels"))
    )
    return [
        table(heading, rows, best={(0, 1)}),
        note(
            "How well a score finds the wrong voxels: means over the cases with wrong voxels, the "
            "best score near the borders first. AUROC is the probability that a wrong voxel has a "
            "higher score than a right one, 0.5 is chance. AUPR is the average precision; chance is "
            f"the share of wrong voxels, on average {shares}. The band holds the voxels near a border "
            f"of the drawn or the found label map. {CONFIDENCE}: 1 minus the largest mean "
            f"probability. {BORDER}: minus the distance to the border of the segmentation, which "
            "needs no ensemble."
        ),
    ]


def _probabilities(evaluation: Evaluation) -> list[str]:
    rows = [
        [
            plain_text(name),
            scope,
            *map(_number, (each.ece, each.brier, each.case_ece, each.case_brier)),
        ]
        for name, structure in evaluation.structures.items()
        for scope, each in (
            (f"within {evaluation.band_mm:g} mm", structure.calibration["band"]),
            ("all voxels", structure.calibration["volume"]),
        )
    ]
    return [
        table(
            ["", "voxels", "ECE", "Brier score", "ECE, mean of cases", "Brier, of cases"],
            rows,
            words=(0, 1),
        ),
        figure(plots.reliability(evaluation.structures), "Reliability near the structures"),
        note(
            "The mean probability of a structure against whether a voxel is in it. ECE: mean distance "
            "between the probability and the share of the structure, in bins of the probability. Brier "
            "score: mean squared distance between the probability and 0 or 1. On the grey line the "
            "probabilities are right; below it they are too high."
        ),
    ]


def _rankings(evaluation: Evaluation) -> list[str]:
    rows = [
        [
            f"{plain_text(name)}, {label}",
            str(each.cases),
            f"{each.aurc:.3f}",
            f"{each.excess_aurc:.3f}",
            f"{each.random_aurc:.3f}",
            _number(each.spearman, "+.2f"),
        ]
        for name, structure in evaluation.structures.items()
        for label, each in structure.rankings.items()
    ]
    if not rows:
        return [note("A single member has no agreement.")]
    heading = ["", "cases", "AURC", "excess AURC", "AURC of a random order", "Spearman with Dice"]
    return [
        table(heading, rows),
        figure(plots.risk_coverage(evaluation.structures), "Risk over coverage"),
        figure(plots.agreement(evaluation), "Dice over agreement"),
        note(
            "Cases are kept from the highest confidence down; the risk is the mean of 1 - Dice of the "
            "kept ones. AURC is the area under this curve; the excess is the difference to the best "
            "possible order, 0 is perfect. Agreement: mean Dice over the pairs of members. Above the "
            "grey line the Dice is higher than the agreement."
        ),
    ]


def _verdicts(evaluation: Evaluation) -> list[str]:
    parts = []
    for name, each in evaluation.structures.items():
        rows = [[VERDICTS[verdict], *map(str, counts)] for verdict, counts in each.verdicts.items()]
        heading = [plain_text(name), f"Dice at least {GOOD_DICE:g}", f"Dice below {GOOD_DICE:g}"]
        parts.append(table(heading, rows))
    return [
        *parts,
        note("Number of cases by verdict, as fedcross segment and the panel of 3D Slicer say it."),
        *[note(sentence) for sentence in _volume_sentences(evaluation.structures)],
    ]


def _volume_sentences(structures: Mapping[str, StructureEvaluation]) -> Sequence[str]:
    sentences = []
    for name, each in structures.items():
        text = (
            f"{plain_text(name)}: the drawn volume lies between the smallest and the largest member in "
            f"{each.in_range.count} of {each.in_range.cases} cases"
        )
        if each.in_interval.cases:
            text += (
                f", and in the calibrated interval in {each.in_interval.count} of "
                f"{each.in_interval.cases}"
            )
        sentences.append(f"{text}.")
    return sentences


def _review(evaluation: Evaluation) -> list[str]:
    if evaluation.review is None:
        return [note("No structure was drawn.")]
    parts = [
        *_review_of("All cases", evaluation.review),
        figure(plots.review(evaluation.review, "dice", "Dice"), "Dice over corrected places"),
        figure(
            plots.review(evaluation.review, "error_ml", "wrong volume, mL"),
            "Wrong volume over corrected places",
        ),
    ]
    large = evaluation.review_large_errors
    if large is not None and large.cases < evaluation.review.cases:
        parts += _review_of(f"Cases with at least {LARGE_ERROR_ML:g} mL of wrong voxels", large)
    return [
        *parts,
        note(
            "A reader corrects one place after the other to the truth. The places are those of the list "
            "of hot spots, or balls of the same radius around border voxels drawn at random (mean of "
            "several draws), or the places of this radius with most errors: the limit. Dice: mean over "
            "the structures."
        ),
    ]


def _review_of(title: str, found: ReviewEvaluation) -> list[str]:
    rows = []
    for name, label in TITLES.items():
        curve, share = getattr(found, name), found.found_share[name]
        rows.append(
            [
                label,
                NONE if share is None else f"{100 * share:.0f} %",
                *(f"{curve.dice[n]:.3f}" for n in (0, 5, FIRST_PLACES, 20)),
                *(f"{curve.error_ml[n]:.2f}" for n in (0, FIRST_PLACES)),
            ]
        )
    heading = [f"{title} ({found.cases})", f"error in {FIRST_PLACES} places", "Dice before"]
    heading += [f"Dice after {n}" for n in (5, FIRST_PLACES, 20)]
    heading += ["wrong before, mL", f"wrong after {FIRST_PLACES}, mL"]
    return [table(heading, rows)]


def _number(value: float | None, form: str = ".3f") -> str:
    return NONE if value is None else format(value, form)
