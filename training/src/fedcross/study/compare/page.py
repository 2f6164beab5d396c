"""The page of a comparison: its tables, its figures and their explanations."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from statistics import fmean

from fedcross.contract.plain_text import counted
from fedcross.study.compare import figures
from fedcross.study.compare.example import Example
from fedcross.study.compare.example_figure import draw_methods
from fedcross.study.compare.figures import Runs
from fedcross.study.compare.results import (
    RunFigures,
    Score,
    by_case,
    choose_reference,
    mean_of,
    rank_by_dice,
)
from fedcross.study.compare.significance import Spread, holm, over_seeds, paired_test
from fedcross.study.page import figure, note, page, table
from fedcross.uncertainty.reliability import MIN_VOXELS

METRICS = {"dice": "Dice", "hd95_mm": "HD95, mm", "assd_mm": "surface distance, mm"}
NONE = "–"


def comparison_page(
    title: str,
    runs: Runs,
    data_bytes: Mapping[str, int],
    budget: str,
    example: Example | None = None,
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title
        Name of the configuration.
    runs
        Runs of each method, one per seed, by the method's label. The reference of the tests is
        FedCrossEns, or else FedCross, or else the first method.
    data_bytes
        Bytes of patients' data that a method collects in one place, by its label.
    budget
        One sentence about the budget.
    example
        A test case as every method segments it; None for no such section.

    The methods are ordered by their mean test Dice, the best first.
    """
    runs = _ranked(runs)
    sections = {
        "Test cases": _scores(runs),
        "By site": [
            part
            for metric, name in METRICS.items()
            for part in (note(name), _by_site(runs, metric))
        ]
        if _has_cases(runs)
        else [note("There are no test cases.")],
        **_example(example, list(runs)),
        "Validation during training": [
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
        "Errors and the spread of the members": [
            figure(figures.reliability(runs), "Error rate of the voxels by the members' spread"),
            note(
                "All voxels of all test cases, in ten bins of the standard deviation between the "
                f"members. Bins with fewer than {MIN_VOXELS} voxels are left out. The line of a useful "
                "map rises from the lower left."
            ),
        ],
        "Cost": [_costs(runs, data_bytes)],
    }
    seeds = max(len(each) for each in runs.values())
    lead = f"{counted(len(runs), 'method')}, {counted(seeds, 'seed')}, the same splits. {budget}"
    return page(f"{title}: comparison of methods", lead, sections)


def _scores(runs: Runs) -> list[str]:
    """Return the metrics of every way to predict, and its test against the reference."""
    predictors = _predictors(runs)
    reference = choose_reference(runs)
    if not _has_cases(runs):
        return [note("There are no test cases.")]
    cases = {label: by_case(seeds, "dice") for label, seeds in predictors.items()}
    tests = {
        label: paired_test(values, cases[reference])
        for label, values in cases.items()
        if label != reference
    }
    corrected = holm({label: test.p for label, test in tests.items()})
    means = [
        [_mean_over_seeds(seeds, metric) for metric in METRICS] for seeds in predictors.values()
    ]
    rows = []
    for rank, (label, spreads) in enumerate(zip(predictors, means, strict=True), start=1):
        row = [str(rank), label]
        row += [_format_spread(each, metric) for each, metric in zip(spreads, METRICS, strict=True)]
        test = tests.get(label)
        row.append(NONE if test is None else f"{test.difference:+.3f}")
        row.append(NONE if test is None else _p(test.p))
        row.append(NONE if test is None else _p(corrected[label]))
        rows.append(row)
    heading = ["rank", "", *METRICS.values(), f"Dice minus {reference}'s", "p", "p, Holm"]
    best = _best([[each.mean for each in row] for row in means], list(METRICS), first_column=2)
    tested = len(cases[reference])
    explanation = (
        "The values are means over all test cases and structures, of the round that a run keeps. One "
        "member alone: mean over the members, each without the others. The "
        "number after ± is the standard deviation over the seeds. The best value of a column is bold. "
        "HD95 is the 95th percentile of the Hausdorff distance. The surface distance is the average "
        "symmetric one. A structure that is missed, or found where there is none, counts as Dice 0 and "
        "as the volume's diagonal in mm. An empty segmentation of an empty structure counts as Dice 1 "
        f"and 0 mm. p: two-sided Wilcoxon signed-rank test on the Dice of the n = {tested} test cases "
        f"(each the mean over its structures and the seeds) against {reference}"
        f"{_smallest_p(tested)}; Holm's correction is over the {len(tests)} tests of this table."
    )
    place = list(predictors).index(reference)
    shown = table(heading, rows, reference=place, words=(1,), best=best)
    return [shown, note(explanation)]


def _smallest_p(cases: int) -> str:
    return (
        f", whose smallest possible p is {_p(2 / 2**cases)} with so few cases" if cases < 9 else ""
    )


def _by_site(runs: Runs, metric: str) -> str:
    predictors = _predictors(runs)
    first = next(iter(runs.values()))[0]
    sites = list(dict.fromkeys(s.site for scores in first.scores.values() for s in scores))
    means = [
        [_mean_over_seeds(seeds, metric, site) for site in sites] for seeds in predictors.values()
    ]
    rows = [
        [label, *(_format_spread(each, metric) for each in row)]
        for label, row in zip(predictors, means, strict=True)
    ]
    best = _best([[each.mean for each in row] for row in means], [metric] * len(sites))
    return table(["", *sites], rows, best=best)


def _example(example: Example | None, methods: Sequence[str]) -> dict[str, list[str]]:
    """The section with a test case as every method segments it."""
    if example is None:
        return {}
    where = f"{example.case} of {example.site}"
    return {
        "A test case": [
            figure(draw_methods(example, methods), f"The case {where} as every method segments it"),
            note(
                f"The case {where}. Its Dice is the median of the method that the others are tested "
                "against. White: drawn. Colour: found by the run of the first seed. The slice is the "
                "one with most drawn voxels. The Dice is that of the whole case."
            ),
        ]
    }


def _ranked(runs: Runs) -> Runs:
    """The methods by their mean test Dice, the best first; unchanged without test cases."""
    scores = {label: [run.scores[label] for run in seeds] for label, seeds in runs.items()}
    return {label: runs[label] for label in rank_by_dice(scores) or runs}


def _mean_over_seeds(
    seeds: Sequence[Sequence[Score]], metric: str, site: str | None = None
) -> Spread:
    return over_seeds([mean_of(scores, metric, site) for scores in seeds])


def _best(
    values: Sequence[Sequence[float]], metrics: Sequence[str], first_column: int = 1
) -> set[tuple[int, int]]:
    """(row, column) of the best value in each column: the largest Dice, the smallest distance."""
    found = set()
    for column, metric in enumerate(metrics):
        each = [row[column] for row in values]
        best = max(each) if metric == "dice" else min(each)
        found |= {(row, first_column + column) for row, value in enumerate(each) if value == best}
    return found


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
        "Costs of one run, means over the seeds. A local epoch goes through the cases of one site. An "
        "epoch of the centralised model goes through the cases of all sites and counts once per site: "
        "it makes as many steps as all members of an ensemble. The one member of FedCross trains for "
        "more rounds instead. Models moved: tensors sent to the sites and back, weights and optimiser "
        "state, uncompressed. Patients' data moved: preprocessed training volumes and labels. Minutes: "
        "sum over the visits, on the machine that made this page."
    )


def _predictors(runs: Mapping[str, Sequence[RunFigures]]) -> dict[str, list[list[Score]]]:
    """Return the scores of every way to predict, by its label: one list per seed; the best first."""
    found = {
        label: [run.scores[label] for run in seeds]
        for seeds in runs.values()
        for label in seeds[0].scores
    }
    return {label: found[label] for label in rank_by_dice(found) or found}


def _has_cases(runs: Runs) -> bool:
    return any(scores for seeds in runs.values() for scores in seeds[0].scores.values())


def _format_spread(spread: Spread, metric: str) -> str:
    digits = 3 if metric == "dice" else 2
    text = f"{spread.mean:.{digits}f}"
    return text if spread.deviation is None else f"{text} ± {spread.deviation:.{digits}f}"


def _p(p: float | None) -> str:
    if p is None:
        return "no difference"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
