"""The tables of `distillation.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from budgets_figures import read_records
from budgets_report import facts, show

Record = dict[str, Any]
DICE_LOSS, ECE_TIMES = 0.01, 1.1
"""The bars: the largest loss of Dice, and the largest ratio of the expected calibration errors."""
STARTS = {"member": "first member", "mean": "mean of the members", "random": "random"}
TARGETS = {"soft": "ensemble", "labels": "labels", "both": "ensemble and labels"}
HEADING = ("start", "target", "steps", "runs", "Dice", "minus the ensemble's", "worst site")
HEADING += ("ECE", "times the ensemble's", "Brier", "AUROC entropy", "within the bars")


def write_report(folder: Path, path: Path, titles: Mapping[str, str]) -> str:
    """Write the tables of all federations in a folder of figures; return the text.

    Parameters
    ----------
    folder
        Has a folder of figures for each federation.
    path
        File to write.
    titles
        Name of a method to its title.
    """
    parts, everything = ["# Distillation: all figures\n", LEGEND], []
    for federation in sorted(each for each in folder.iterdir() if each.is_dir()):
        records = read_records(federation)
        everything += records
        groups = sorted({record["teacher"] for record in records})
        for group in groups:
            _, budget, method = group.split("-", 2)
            heading = f"## {federation.name.capitalize()}: {titles[method]}, budget {budget}\n"
            parts.append(f"{heading}\n{table([r for r in records if r['teacher'] == group])}")
        if len(groups) > 1:
            heading = f"## {federation.name.capitalize()}: all runs\n"
            parts.append(f"{heading}\n{table(records)}")
    text = "\n".join([*parts, facts(everything)])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return text


LEGEND = f"""\
Dice is the mean over test cases and structures; behind ± is the standard deviation over the runs. ECE
(expected calibration error), Brier score and the AUROC with which the entropy finds the wrong voxels
are those of the voxels at most 10 mm from a border. *Steps* is the share of the steps that all members
made together. A difference and a ratio compare the means over the same runs. A student is *within the
bars* if its Dice is at most {DICE_LOSS} lower and its ECE at most {ECE_TIMES} times as large.
"""


def table(records: Sequence[Record]) -> str:
    """Return a row for the ensemble, the members alone, and every recipe of the students."""
    ensembles = {_run(record): record for record in records if record["contender"] == "ensemble"}
    lines = [HEADING, ("---",) * len(HEADING)]
    names = sorted({record["contender"] for record in records}, key=_order)
    for name in names:
        found = [record for record in records if record["contender"] == name]
        same = [ensembles[_run(record)] for record in found]
        lines.append((*_title(name), *_cells(found, same)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _run(record: Record) -> tuple[str, int]:
    return record["teacher"], record["seed"]


def _order(name: str) -> tuple[int, int, float]:
    """The place of a row: ensemble, member, then the students by start, target and steps."""
    if name in ("ensemble", "member"):
        return -1, int(name == "member"), 0.0
    start, target, share = name.split("-")
    return list(STARTS).index(start), list(TARGETS).index(target), float(share)


def _title(name: str) -> tuple[str, str, str]:
    if name == "ensemble":
        return "the ensemble", "", ""
    if name == "member":
        return "the first member alone", "", ""
    start, target, share = name.split("-")
    return STARTS[start], TARGETS[target], share


def _cells(found: Sequence[Record], ensembles: Sequence[Record]) -> tuple[str, ...]:
    loss = fmean(each["dice"] for each in found) - fmean(each["dice"] for each in ensembles)
    times = fmean(each["ece"] for each in found) / fmean(each["ece"] for each in ensembles)
    is_within = loss >= -DICE_LOSS and times <= ECE_TIMES
    is_ensemble = found[0]["contender"] == "ensemble"
    return (
        str(len(found)),
        show(each["dice"] for each in found),
        "" if is_ensemble else f"{loss:+.3f}",
        show(min(each["site_dice"].values()) for each in found),
        show(each["ece"] for each in found),
        "" if is_ensemble else f"{times:.2f}",
        show(each["brier"] for each in found),
        show(each["auroc"]["entropy"] for each in found),
        "" if is_ensemble else ("yes" if is_within else "no"),
    )
