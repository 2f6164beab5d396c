"""The tables and the figure of the benchmark of familiarity."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from familiarity_judging import HALVES, areas_by_kind, judge, only, with_profile
from familiarity_scans import FAMILIAR, Scan

from fedcross.infer.familiarity.assess import Familiarity
from fedcross.infer.familiarity.properties import KINDS
from fedcross.model.manifest import Manifest
from fedcross.study.compare.figures import box_plots

VALUE = re.compile(r" -?[\d.e+-]+( (mm|mL|%|standard deviations))?$")
"""The value at the end of a reason."""


def table(
    judged: Sequence[tuple[Scan, Familiarity]], manifest: Manifest, halves: float, known: int
) -> str:
    """Return the table and the facts as Markdown."""
    areas = areas_by_kind([(scan.kind, found.score) for scan, found in judged])
    lines = [
        f"# Unfamiliar scans: {manifest.name}",
        "",
        "| scans | n | AUROC | above the limit | lowest score / limit | most frequent first reason |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(scan.kind for scan, _ in judged):
        found = [each for scan, each in judged if scan.kind == kind]
        area = "" if kind == FAMILIAR else f"{areas[kind]:.3f}"
        lines.append(
            f"| {kind} | {len(found)} | {area} "
            f"| {np.mean([each.is_unusual for each in found]):.0%} "
            f"| {min(each.score / each.limit for each in found):.2f} | {first_reason(found)} |"
        )
    profile = manifest.profile
    assert profile is not None  # `with_profile` set it
    lines += [
        "",
        f"Profile: {sum(profile.counts)} cases of {len(profile.counts)} sites; the limit is from "
        f"{profile.score_count} scores ({profile.scored}). Nominal false-alarm rate "
        f"{profile.false_alarm_rate:.0%}; over {HALVES} random halves of all {known} cases of the "
        f"sites: {halves:.1%}.",
    ]
    return "\n".join(lines) + "\n"


def group_table(shown: Sequence[Scan], known: Sequence[Scan], manifest: Manifest) -> str:
    """Return the AUROC of each kind of scan for each group of properties alone, as Markdown."""
    groups = list(dict.fromkeys(kind.group for kind in KINDS))
    columns = []
    for group in groups:
        first = [only(scan, group) for scan in known if scan.part != "test"]
        profiled = with_profile(manifest, first)
        columns.append(
            areas_by_kind([(s.kind, judge(only(s, group), profiled).score) for s in shown])
        )
    lines = [f"| AUROC of one group | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    lines += [
        f"| {kind} | {' | '.join(f'{column[kind]:.3f}' for column in columns)} |"
        for kind in columns[0]
    ]
    return "\n".join(lines) + "\n"


def first_reason(found: Sequence[Familiarity]) -> str:
    """Return the most frequent first reason, without its figures."""
    first = [each.reasons[0].split(";")[0] for each in found if each.reasons]
    names = [VALUE.sub("", text) for text in first]
    return max(names, key=names.count) if names else ""


def write(judged: Sequence[tuple[Scan, Familiarity]], text: str, folder: Path) -> None:
    """Write the table, the scores and the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(text, encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["scans", "site", "case", "score", "limit", "reasons"])
        for scan, found in judged:
            numbers = f"{found.score:.4g}", f"{found.limit:.4g}"
            rows.writerow([scan.kind, scan.site, scan.name, *numbers, " | ".join(found.reasons)])
    ratios: dict[str, dict[int, float]] = {}
    for index, (scan, found) in enumerate(judged):
        ratios.setdefault(scan.kind, {})[index] = float(np.log10(found.score / found.limit))
    figure = box_plots(ratios, "log10 of score / limit")
    (folder / "scores.svg").write_text(figure, encoding="utf-8")
