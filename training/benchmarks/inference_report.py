"""Write the results of the inference benchmark: tables, results.json and a figure."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """Result of one contender.

    Attributes
    ----------
    name
        Name of the contender.
    peer
        Name of the MONAI contender that it is compared with.
    seconds, processor_s
        Wall time and processor time of the whole process in s.
    peak_mb
        Peak resident set in MB.
    dice
        Lowest Dice over the labels with the peer.
    std_difference
        Largest difference from the peer's map of the standard deviation.
    comparable
        Whether both are within the limits; otherwise times are not compared.
    """

    name: str
    peer: str
    seconds: float
    processor_s: float
    peak_mb: float
    dice: float
    std_difference: float
    comparable: bool


@dataclass(frozen=True)
class Scaled:
    """Result of the default back-end for one volume size and number of members.

    Attributes
    ----------
    size
        Voxels of the volume, (x, y, z).
    members
        K.
    seconds, processor_s, peak_mb
        As in `Row`.
    timings_s
        Wall time in s of each stage.
    """

    size: tuple[int, int, int]
    members: int
    seconds: float
    processor_s: float
    peak_mb: float
    timings_s: dict[str, float]

    @property
    def voxels(self) -> int:
        """Number of voxels of the volume."""
        return int(np.prod(self.size))


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of the contenders and their ratios to their peers."""
    peers = {row.name: row for row in rows}
    lines = [
        "| contender | times as fast (wall time) | (processor time) | memory | wall s | peak MB | Dice "
        "| std difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        base = peers[row.peer]
        ratios = (
            f"{base.seconds / row.seconds:.2f} | {base.processor_s / row.processor_s:.2f} | "
            f"{row.peak_mb / base.peak_mb:.2f}"
            if row.comparable
            else "labels differ | not compared | "
        )
        lines.append(
            f"| {row.name} | {ratios} | {row.seconds:.0f} | {row.peak_mb:.0f} | {row.dice:.5f} | "
            f"{row.std_difference:.4f} |"
        )
    return "\n".join(lines)


def scaling_table(scaled: Sequence[Scaled]) -> str:
    """Return a Markdown table of time and memory, and the exponents with which time grows."""
    lines = ["| volume | K | processor s | wall s | peak MB |", "|---|---|---|---|---|"]
    lines += [
        f"| {'x'.join(map(str, s.size))} | {s.members} | {s.processor_s:.0f} | {s.seconds:.0f} | "
        f"{s.peak_mb:.0f} |"
        for s in scaled
    ]
    usual = scaled[0].members
    by_voxels = exponent([(s.voxels, s.processor_s) for s in scaled if s.members == usual])
    by_members = exponent([(s.members, s.processor_s) for s in scaled if s.size == scaled[0].size])
    lines += ["", f"Time grows as voxels^{by_voxels:.2f} and as K^{by_members:.2f}."]
    return "\n".join(lines)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of log(time) over log(quantity); `points` are pairs of these."""
    quantity, seconds = np.log(np.array(points)).T
    return float(np.polyfit(quantity, seconds, 1)[0])


def write_report(
    rows: Sequence[Row], scaled: Sequence[Scaled], facts: dict[str, Any], out: Path
) -> None:
    """Print the tables; write table.md, results.json and speed.png."""
    text = table(rows) + ("\n\n" + scaling_table(scaled) if scaled else "")
    print(text)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    content = {
        "facts": facts,
        "rows": [asdict(row) for row in rows],
        "scaling": [asdict(s) for s in scaled],
    }
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw(rows, out / "speed.png")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the ratio of wall times to the peer for each comparable contender."""
    from matplotlib.figure import Figure

    peers = {row.name: row for row in rows}
    shown = [row for row in rows if row.comparable][::-1]
    ratios = [peers[row.peer].seconds / row.seconds for row in shown]
    figure = Figure(figsize=(7, 0.4 * len(shown) + 1), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.barh([row.name for row in shown], ratios, color="#2a7f9e")
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.axvline(1, color="0.4", linewidth=0.8)
    axes.margins(x=0.1)
    axes.set_xlabel("times as fast (wall time) as MONAI's inferer in fp32")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
