"""What the comparison's page says: the tables and the words around the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from statistics import fmean

from fedcross.study.compare import figures
from fedcross.study.compare.figures import Runs
from fedcross.study.compare.results import RunFigures, Score, by_case, mean_of
from fedcross.study.compare.significance import Spread, holm, over_seeds, paired_test
from fedcross.study.page import figure, note, page, table
from fedcross.uncertainty.reliability import MIN_VOXELS

METRICS = {"dice": "Dice", "hd95_mm": "HD95, mm", "assd_mm": "surface distance, mm"}
NONE = "–"


def comparison_page(title: str, runs: Runs, data_bytes: Mapping[str, int], budget: str) -> str:
    """The whole page.

    Parameters
    ----------
    title
        The configuration's name.
    runs
        Of each method, one per seed; the first FedCrossEns, else FedCross, else the first is what the
        others are tested against.
    data_bytes
        Bytes of patients' data that a method brought together, by its label.
    budget
        One sentence.
    """
    sections = {
        "Test cases": _scores(runs),
        "By site": [
            part
            for metric, name in METRICS.items()
            for part in (note(name), _by_site(runs, metric))
        ]
        if _has_cases(runs)
        else [note("There are no test cases.")],
        "While training": [
            figure(figures.training_curves(runs), "Validation Dice over the share of the budget"),
            note(
                "Thin lines are seeds, thick ones their mean. Personal models (FedBN, local only) are "
                "validated at their own site, all others everywhere."
            ),
        ],
        "Case by case": [
            figure(figures.box_plots(figures.case_values(runs, metric), name), name)
            for metric, name in METRICS.items()
        ]
        if _has_cases(runs)
        else [note("There are no test cases.")],
        "Does the spread mark what is wrong?": [
            figure(figures.reliability(runs), "Error rate of the voxels by the members' spread"),
            note(
                "All voxels of all test cases, in ten bins of the standard deviation between the "
                f"members, without those that hold fewer than {MIN_VOXELS} voxels: a useful map rises "
                "from the lower left."
            ),
        ],
        "Cost": [_costs(runs, data_bytes)],
    }
    seeds = max(len(each) for each in runs.values())
    lead = f"{len(runs)} methods, {seeds} seeds, the same splits. {budget}"
    return page(title, lead, sections)


def _scores(runs: Runs) -> list[str]:
    """Every predictor's metrics, and its test against the reference."""
    predictors = _predictors(runs)
    reference = reference_of(runs)
    if not _has_cases(runs):
        return [note("There are no test cases.")]
    cases = {label: by_case(seeds, "dice") for label, seeds in predictors.items()}
    tests = {
        label: paired_test(values, cases[reference])
        for label, values in cases.items()
        if label != reference
    }
    corrected = holm({label: test.p for label, test in tests.items()})
    rows = []
    for label, seeds in predictors.items():
        row = [label]
        for metric in METRICS:
            row.append(_told(over_seeds([mean_of(each, metric) for each in seeds]), metric))
        test = tests.get(label)
        row.append(NONE if test is None else f"{test.difference:+.3f}")
        row.append(NONE if test is None else _p(test.p))
        row.append(NONE if test is None else _p(corrected[label]))
        rows.append(row)
    heading = ["", *METRICS.values(), f"Dice minus {reference}'s", "p", "p, Holm"]
    count = len(cases[reference])
    explanation = (
        "Of the round with the best validation Dice. Means over all test cases and structures; "
        "after ± the standard deviation over the seeds. "
        "HD95 is the 95th percentile of the Hausdorff distance, surface distance the average "
        "symmetric one. A structure that is missed, or found where there is none, counts as Dice 0 "
        "and as the volume's diagonal in mm; nothing found where nothing is counts as Dice 1 and 0 "
        f"mm. p: two-sided Wilcoxon signed-rank test on the Dice of the n = {count} test cases "
        f"(each the mean over its structures and the seeds) against {reference}"
        f"{_smallest_p(count)}; Holm's correction is over the {len(tests)} tests of this table."
    )
    place = list(predictors).index(reference)
    return [table(heading, rows, reference=place), note(explanation)]


def _smallest_p(count: int) -> str:
    return (
        f", which with so few cases cannot give less than {2 / 2**count:.2g}" if count < 9 else ""
    )


def _by_site(runs: Runs, metric: str) -> str:
    predictors = _predictors(runs)
    first = next(iter(runs.values()))[0]
    sites = list(dict.fromkeys(s.site for scores in first.scores.values() for s in scores))
    rows = []
    for label, seeds in predictors.items():
        row = [label]
        for site in sites:
            values = [mean_of(scores, metric, site) for scores in seeds]
            row.append(_told(over_seeds(values), metric))
        rows.append(row)
    return table(["", *sites], rows)


def _costs(runs: Runs, data_bytes: Mapping[str, int]) -> str:
    rows = []
    for label, seeds in runs.items():
        costs = [
            fmean(values) for values in zip(*(astuple(run.cost) for run in seeds), strict=True)
        ]
        rounds, epochs, patches, wire, seconds = costs
        moved = f"{data_bytes[label] / 1e6:.1f}" if label in data_bytes else NONE
        row = [label, f"{rounds:.0f}", f"{epochs:.0f}", f"{patches:.0f}"]
        rows.append([*row, f"{wire / 1e6:.1f}", moved, f"{seconds / 60:.1f}"])
    heading = ["", "rounds", "local epochs", "patches", "models moved, MB"]
    heading += ["patients' data moved, MB", "training, minutes"]
    return table(heading, rows) + note(
        "Of one run, means over the seeds. Local epochs are over one site's cases; an epoch of the "
        "centralised model goes through all sites' and counts as many, so that it alone makes as many "
        "steps as all members of an ensemble together. FedCross's one member walks for as many rounds "
        "more. Models moved: tensors sent to the sites and back, weights and optimiser state, "
        "uncompressed. Patients' data moved: preprocessed training volumes and "
        "labels, as the training reads them. Minutes are of the visits, one after another, on the "
        "machine that made this page."
    )


def reference_of(runs: Runs) -> str:
    """The method that the others are tested against."""
    for wanted in ("FedCrossEns", "FedCross"):
        if wanted in runs:
            return wanted
    return next(iter(runs))


def _predictors(runs: Mapping[str, Sequence[RunFigures]]) -> dict[str, list[list[Score]]]:
    """Scores of everything that predicts, by its label: one list per seed."""
    return {
        label: [run.scores[label] for run in seeds]
        for seeds in runs.values()
        for label in seeds[0].scores
    }


def _has_cases(runs: Runs) -> bool:
    return any(scores for seeds in runs.values() for scores in seeds[0].scores.values())


def _told(spread: Spread, metric: str) -> str:
    digits = 3 if metric == "dice" else 2
    text = f"{spread.mean:.{digits}f}"
    return text if spread.deviation is None else f"{text} ± {spread.deviation:.{digits}f}"


def _p(p: float | None) -> str:
    if p is None:
        return "no difference"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
