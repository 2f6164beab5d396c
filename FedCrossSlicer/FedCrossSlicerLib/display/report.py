"""The figures of a result in words: for the panel, for the clipboard and for a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from fedcross.contract.figures import StructureFigures
from fedcross.contract.plain_text import csv_cell
from fedcross.contract.table import Reliability, reliability
from fedcross.contract.verdict import Thresholds
from fedcross.contract.wording import basis_text, unfamiliar_text, verdict_text, volume_text
from FedCrossSlicerLib.bundle.result import Familiarity
from FedCrossSlicerLib.csv_file import writeCSV
from FedCrossSlicerLib.scene.figures import Figure
from FedCrossSlicerLib.scene.tables import plainText


def volumeText(figure: StructureFigures, members: int) -> str:
    """Return the volume, see `fedcross.contract.wording.volume_text`."""
    return volume_text(figure, members, _)


def verdictText(figure: StructureFigures, thresholds: Thresholds | None = None) -> str:
    """Return the verdict on a structure in two or three words."""
    return verdict_text(figure, thresholds, _)


def basisText(figure: StructureFigures) -> str:
    """Return the figure that the verdict is from; ``""`` for one member, or if nothing was found."""
    return basis_text(figure, _)


def unfamiliarText(familiarity: Familiarity | None) -> str:
    """Return the warning of an unfamiliar scan; ``""`` for any other."""
    if familiarity is None or not familiarity.isUnusual:
        return ""
    return unfamiliar_text(familiarity.reasons, _)


def asText(
    figures: Sequence[Figure],
    thresholds: Thresholds | None = None,
    familiarity: Familiarity | None = None,
) -> str:
    """Return a header and one line for each structure, separated by tabs, to paste elsewhere.

    A last line holds the warning of an unfamiliar scan.
    """
    header = (
        _("Structure"),
        _("Volume (mL)"),
        _("Members, mean (mL)"),
        _("Members, smallest (mL)"),
        _("Members, largest (mL)"),
        _("Agreement (Dice)"),
        _("Interval, from (mL)"),
        _("Interval, to (mL)"),
        _("Coverage of the interval"),
        _("Expected Dice"),
        _("Error of the expected Dice"),
        _("Verdict"),
    )
    lines = ["\t".join(header)]
    for figure in figures:
        known = astuple(reliability(figure))[:5]
        numbers = (each if isinstance(each, str) else f"{each:.3g}" for each in known)
        cells = (*_measured(figure), *numbers, verdictText(figure, thresholds))
        lines.append("\t".join(str(csv_cell(plainText(cell))) for cell in cells))
    warning = unfamiliarText(familiarity)
    return "\n".join([*lines, *([warning] if warning else [])]) + "\n"


def writeFigures(
    figures: Sequence[Figure],
    thresholds: Thresholds | None,
    path: Path,
    familiarity: Familiarity | None = None,
) -> None:
    """Write the figures and verdicts to a CSV file for programs.

    Raises
    ------
    InferenceError
        If the file cannot be written.
    """
    header = (
        "structure",
        "volume_ml",
        "members_mean_ml",
        "members_min_ml",
        "members_max_ml",
        "mean_dice",
        *(field.name for field in fields(Reliability)),
    )
    rows = [
        (*_measured(figure), *astuple(reliability(figure, thresholds, **unusualness(familiarity))))
        for figure in figures
    ]
    writeCSV([header, *rows], path)


def unusualness(familiarity: Familiarity | None) -> dict[str, Any]:
    """Return whether a scan is unusual and why, as the keyword arguments of `reliability`."""
    if familiarity is None:
        return {}
    return {"is_unusual": familiarity.isUnusual, "reasons": familiarity.reasons}


def _measured(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{figure.volume:.2f}",
        f"{figure.mean:.2f}",
        f"{figure.low:.2f}",
        f"{figure.high:.2f}",
        "" if figure.agreement is None else f"{figure.agreement:.3f}",
    )
