"""The result in numbers: one row a structure, kept in a table node, and a plain verdict on each."""

import csv
import enum
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.result import StructureFigures
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.tables import column, newTable, plain

_AGREEMENT = "agreement_dice"


class Verdict(enum.Enum):
    """How far to trust a structure's outline and volume."""

    AGREE = "agree"
    LOOK = "look"
    DISTRUST = "distrust"
    ABSENT = "absent"

    def label(self) -> str:
        """Return it in plain words."""
        return {
            Verdict.AGREE: _("members agree"),
            Verdict.LOOK: _("look at it"),
            Verdict.DISTRUST: _("do not trust"),
            Verdict.ABSENT: _("not found"),
        }[self]


@dataclass(frozen=True)
class Thresholds:
    """From which mean pairwise Dice on members agree, and below which not to trust them.

    0.9 is about what two experienced readers reach with one another on a well-seen organ, so members
    that agree as much leave little to argue about. At 0.75 two fifths of what two members outline
    together is outlined by one of them alone (they share 0.75 / (2 - 0.75) = 0.6 of it), and hardly
    any report can rest on that. Dice is harsher on small structures: lower both for them.
    """

    agree: float = 0.9
    trust: float = 0.75


@dataclass(frozen=True)
class Figure:
    """One structure.

    Attributes
    ----------
    color
        Red, green, blue; 0 to 1.
    volume, mean, low, high
        The ensemble's volume, and the members' mean, smallest and largest; mL.
    agreement
        Mean pairwise Dice of the members; None for one member.
    """

    name: str
    color: tuple[float, float, float]
    volume: float
    mean: float
    low: float
    high: float
    agreement: float | None


def verdict(figure: Figure, thresholds: Thresholds | None = None) -> Verdict:
    """Judge a structure.

    ABSENT if no member found it; DISTRUST if some found it and others did not, whatever their Dice;
    LOOK if there is but one member, which has nobody to agree with.
    """
    thresholds = thresholds or Thresholds()
    if figure.high == 0 and figure.volume == 0:
        return Verdict.ABSENT
    if figure.agreement is None:
        return Verdict.LOOK
    if figure.low == 0 or figure.agreement < thresholds.trust:
        return Verdict.DISTRUST
    return Verdict.AGREE if figure.agreement >= thresholds.agree else Verdict.LOOK


def newFigures(name: str, structures: Sequence[StructureFigures], segmentation: Any) -> Any:
    """Return a new table node with the figures; the colours are the segments'."""
    colors = [_colorOf(segmentation, structure.name) for structure in structures]
    columns: dict[str, list[Any]] = {
        "structure": [structure.name for structure in structures],
        "red": [color[0] for color in colors],
        "green": [color[1] for color in colors],
        "blue": [color[2] for color in colors],
        "volume_ml": [structure.volume for structure in structures],
        "mean_ml": [structure.mean for structure in structures],
        "min_ml": [structure.low for structure in structures],
        "max_ml": [structure.high for structure in structures],
    }
    agreements = [structure.agreement for structure in structures]
    if None not in agreements:  # one member: nothing to compare
        columns[_AGREEMENT] = agreements
    return newTable(name, columns)


def readFigures(table: Any) -> list[Figure]:
    """Return the rows of a result's figures table, in its order; none when it was deleted."""
    if table is None:
        return []
    names = column(table, "structure")
    colors = zip(*(column(table, channel) for channel in ("red", "green", "blue")), strict=True)
    numbers = (column(table, title) for title in ("volume_ml", "mean_ml", "min_ml", "max_ml"))
    agreements = column(table, _AGREEMENT) or [None] * len(names)
    return [Figure(*row) for row in zip(names, colors, *numbers, agreements, strict=True)]


def asText(figures: Sequence[Figure], thresholds: Thresholds | None = None) -> str:
    """Return tab-separated lines with a header, as spreadsheets and word processors paste them."""
    header = (
        _("Structure"),
        _("Volume (mL)"),
        _("Members, mean (mL)"),
        _("Members, least (mL)"),
        _("Members, most (mL)"),
        _("Agreement (Dice)"),
        _("Verdict"),
    )
    rows = [header, *((*_cells(each), verdict(each, thresholds).label()) for each in figures)]
    return "\n".join("\t".join(plain(cell) for cell in row) for row in rows) + "\n"


def writeCSV(figures: Sequence[Figure], thresholds: Thresholds | None, path: Path) -> None:
    """Write a CSV file (RFC 4180, UTF-8) for programs; whole or not at all.

    Raises
    ------
    InferenceError
        If it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(
        (
            "structure",
            "volume_ml",
            "members_mean_ml",
            "members_min_ml",
            "members_max_ml",
            "mean_dice",
            "verdict",
        )
    )
    for figure in figures:
        writer.writerow((*_cells(figure), verdict(figure, thresholds).value))
    partial = path.with_name(path.name + ".part")
    try:
        try:
            partial.write_bytes(text.getvalue().encode())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be written: {why}.").format(name=path.name, why=error.strerror)
        ) from error


def _cells(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.volume:.2f}",
        f"{figure.mean:.2f}",
        f"{figure.low:.2f}",
        f"{figure.high:.2f}",
        "" if figure.agreement is None else f"{figure.agreement:.3f}",
    )


def _colorOf(segmentation: Any, name: str) -> tuple[float, float, float]:
    """The colour of the segment of this name; Slicer's own grey when there is none."""
    segments = segmentation.GetSegmentation()
    segment = segments.GetSegment(segments.GetSegmentIdBySegmentName(name))
    return segment.GetColor() if segment is not None else (0.5, 0.5, 0.5)
