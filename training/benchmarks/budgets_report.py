"""The tables and the figure of `budgets.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from budgets_figures import read_records

from fedcross.study.compare.significance import over_seeds

Record = dict[str, Any]
OWN = "each site's own model"
AUROC_SCORES = {"std": "std", "entropy": "entropy", "1 - confidence": "1 - confidence"}
HEADING = ("", "budget in all", "runs", "models", "Dice", "one model alone", "worst site")
HEADING += ("between sites", *(f"AUROC {title}" for title in AUROC_SCORES.values()), "ECE")
HEADING += ("Spearman", "excess AURC", "volume in range", "first ten places", "ten at random")
LEGEND = """\
Dice is the mean over test cases and structures; behind ± is the standard deviation over the runs.
*Between sites* is the best site's Dice minus the worst site's. The AUROC tells how well a measure finds
the wrong voxels at most 10 mm from a border; 1 - confidence is 1 minus the largest mean probability. ECE
is the expected calibration error there. *Spearman* is the rank correlation of the members' agreement
with the Dice, over the cases. *Excess AURC* is the area under the risk-coverage curve of this ranking
minus that of a perfect one. *Volume in range* counts how often the drawn volume is between the smallest
and the largest member's. *First ten places* is the share of the wrong volume in the first ten places to
look at, *ten at random* that in ten random places on the border. A single model has no agreement and no
std.

An ensemble "of N seeds" is the mean of the models of N runs, so that it costs N times their budget.
*Budget in all* counts that.
"""


def write_report(name: str, titles: Mapping[str, str], folder: Path, out: Path) -> str:
    """Write the tables and the figure of a federation; return the text.

    Parameters
    ----------
    name
        Name of the federation, and of the files.
    titles
        Name of a method to its title, in the order of the tables.
    folder
        Folder of the figures of the finished runs.
    out
        Folder of ``<name>.md`` and ``<name>.svg``.
    """
    records = read_records(folder)
    tested = [record for record in records if record["left_out"] is None]
    left_out = [record for record in records if record["left_out"] is not None]
    parts = [f"# Methods against budget: {name}\n", LEGEND]
    out.mkdir(parents=True, exist_ok=True)
    if tested:
        (out / f"{name}.svg").write_text(draw_curves(titles, tested), encoding="utf-8")
        parts.append(f"![Test Dice against the budget; dots are single runs]({name}.svg)\n")
    for budget in sorted({record["budget"] for record in tested}):
        found = [record for record in tested if record["budget"] == budget]
        parts.append(f"## Budget {budget}{_patches(found)}\n\n{table(titles, found)}")
    for budget in sorted({record["budget"] for record in left_out}):
        found = [record for record in left_out if record["budget"] == budget]
        heading = f"## One site left out, budget {budget}{_patches(found)}"
        parts.append(f"{heading}\n\n{LEFT_OUT}\n{left_out_table(titles, found)}")
    parts.append(facts(records))
    text = "\n".join(parts)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    return text


LEFT_OUT = """\
Every site is left out in turn: the methods train at the others and are tested on all of its cases. The
columns of the sites have the Dice there when the site was left out; all other columns are means over the
sites.
"""


def _patches(records: Sequence[Record]) -> str:
    """Return how many patches the models of a run saw together; empty if the runs differ."""
    counts = {record["patches"] for record in records if record["seeds"] == 1}
    return f": {counts.pop():,} patches in all" if len(counts) == 1 else ""


def left_out_table(titles: Mapping[str, str], records: Sequence[Record]) -> str:
    """Return a row for every method and ensemble, with a column for every site that was left out."""
    sites = list(dict.fromkeys(record["left_out"] for record in records))
    measures = [f"AUROC {title}" for title in AUROC_SCORES.values()]
    heading = ["", "models", "Dice", *sites, *measures, "ECE", "volume in range"]
    lines = [[*heading, "first ten places", "ten at random"]]
    lines.append(["---"] * len(lines[0]))
    for title, found in group(titles, records).items():
        at_site = [
            [record["dice"] for record in found if record["left_out"] == site] for site in sites
        ]
        means = [fmean(each) for each in at_site if each]
        cells = [title, str(found[0]["members"]), f"{fmean(means):.3f}"]
        cells += [f"{fmean(each):.3f}" if each else "" for each in at_site]
        lines.append([*cells, *_uncertainty_cells(found, spread=False)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def group(titles: Mapping[str, str], records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records by the row of the table, in its order."""
    rows: dict[str, list[Record]] = {}
    for method, title in titles.items():
        ours = [record for record in records if record["method"] == method]
        for seeds in sorted({record["seeds"] for record in ours}):
            found = [record for record in ours if record["seeds"] == seeds]
            rows[title if seeds == 1 else f"{title}, ensemble of {seeds} seeds"] = found
    return rows


def table(titles: Mapping[str, str], records: Sequence[Record]) -> str:
    """Return a row for every method and ensemble."""
    lines = [HEADING, ("---",) * len(HEADING)]
    for title, found in group(titles, records).items():
        if any(record.get("own_dice") is not None for record in found):
            own = [record["own_dice"] for record in found]
            cells = ["", str(len(found)), "1", show(own), *[""] * (len(HEADING) - 5)]
            lines.append((f"{title}, {OWN}", str(found[0]["budget"]), *cells[1:]))
            title += ", as an ensemble"
        lines.append((title, *_cells(found)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(found: Sequence[Record]) -> list[str]:
    single = found[0]["members"] == 1
    sites = [list(record["site_dice"].values()) for record in found]
    cells = [str(found[0]["budget"] * found[0]["seeds"]), str(len(found))]
    cells += [str(found[0]["members"]), show(record["dice"] for record in found)]
    cells += ["" if single else show(record["member_dice"] for record in found)]
    cells += [show(min(each) for each in sites), show(max(each) - min(each) for each in sites)]
    *measures, ece, in_range, ranked, random = _uncertainty_cells(found)
    ranking = ["" if single else show(r[key] for r in found) for key in ("spearman", "excess_aurc")]
    return [*cells, *measures, ece, *ranking, in_range, ranked, random]


def _uncertainty_cells(found: Sequence[Record], *, spread: bool = True) -> list[str]:
    """AUROC of each measure, ECE, volumes in range, and shares of the error in ten places."""
    single = found[0]["members"] == 1
    cells = []
    for score in AUROC_SCORES:
        is_shown = not (single and score == "std")
        values = [record["auroc"].get(score) for record in found]
        cells.append(show(values, spread=spread) if is_shown else "")
    cells.append(show((record["ece"] for record in found), spread=spread))
    counts = [record["in_range"] for record in found]
    cells.append("" if single else f"{sum(c[0] for c in counts)} of {sum(c[1] for c in counts)}")
    shares = [record["found_share"] for record in found if record["found_share"] is not None]
    for order in ("ranked", "random"):
        cells.append(show((share[order] for share in shares), spread=spread))
    return cells


def show(values: Any, *, spread: bool = True) -> str:
    """Return the mean, with the standard deviation if `spread` and there are several values."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    seeds = over_seeds(known)
    has_spread = spread and len(known) > 1
    return f"{seeds.mean:.3f}" + (f" ± {seeds.deviation:.3f}" if has_spread else "")


def draw_curves(titles: Mapping[str, str], records: Sequence[Record]) -> str:
    """Return the test Dice of every method against its budget in all, as SVG; dots are single runs."""
    import io

    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for index, (title, found) in enumerate(group(titles, records).items()):
        by_budget: dict[int, list[float]] = {}
        for record in found:
            by_budget.setdefault(record["budget"] * record["seeds"], []).append(record["dice"])
        budgets = sorted(by_budget)
        means = [fmean(by_budget[budget]) for budget in budgets]
        style = "--" if found[0]["seeds"] > 1 else "-"
        marker = "osD^v<>pPX"[index % 10]
        (line,) = axes.plot(budgets, means, style, marker=marker, label=title)
        for budget, values in by_budget.items():
            if len(values) > 1:
                axes.plot([budget] * len(values), values, ".", color=line.get_color(), alpha=0.5)
    axes.set_xscale("log", base=2)
    ticks = sorted({record["budget"] * record["seeds"] for record in records})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("Budget in all, in multiples of the smallest")
    axes.set_ylabel("Test Dice")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=8)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()


def facts(records: Sequence[Record]) -> str:
    """Return dates, commits, machines and versions as a list."""
    lines = []
    for key in ("date", "commit", "machine"):
        found = "; ".join(dict.fromkeys(record[key] for record in records))
        lines.append(f"- {key}: {found or 'none'}\n")
    versions = (", ".join(f"{n} {v}" for n, v in r["versions"].items()) for r in records)
    return "".join(lines) + f"- versions: {'; '.join(dict.fromkeys(versions))}\n"
