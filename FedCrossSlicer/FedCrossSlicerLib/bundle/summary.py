"""Read the summary of a result folder. This module uses neither Qt nor MRML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from fedcross.contract.figures import StructureFigures
from fedcross.contract.files import (
    CONTOURS,
    DESCRIPTION,
    DISTANCE,
    ENSEMBLE,
    OUTLINES,
    SUMMARY,
    UNCERTAINTY,
    file_kind,
)
from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text
from FedCrossSlicerLib.bundle.calibrated import (
    familiarityOf,
    intervalOf,
    predictedDiceOf,
    verdictOf,
)
from FedCrossSlicerLib.bundle.numbers import finiteNumber, positiveNumber
from FedCrossSlicerLib.bundle.result import HotSpotFigures, Result, UncertaintyMap
from FedCrossSlicerLib.errors import InferenceError

MAX_CHARACTERS = 200
"""Longest name that is kept."""


def readResult(folder: Path) -> Result:
    """Read the summary of a result folder.

    Parameters
    ----------
    folder
        Folder with the file `fedcross.contract.files.SUMMARY`.

    Raises
    ------
    InferenceError
        If the summary is missing, unreadable or incomplete.
    """
    try:
        summary = parse_json((folder / SUMMARY).read_text(encoding="utf-8"))
        return Result(
            folder=folder,
            measure=str(summary["measure"]),
            maps=_maps(folder, summary),
            distance=_optionalFile(folder, summary, DISTANCE),
            outlines=_optionalFile(folder, summary, OUTLINES),
            contours=_optionalFile(folder, summary, CONTOURS),
            structures=tuple(_structure(each) for each in summary["structures"]),
            hotSpots=tuple(
                _hotSpot(rank, each) for rank, each in enumerate(summary["hot_spots"], start=1)
            ),
            bundleName=_text(summary["bundle"]["name"]),
            bundleHash=str(summary["bundle"]["sha256"]),
            members=int(summary["bundle"]["members"]),
            created=str(summary["created"]),
            packages={str(name): str(version) for name, version in summary["packages"].items()},
            computedWith=_computedWith(summary),
            familiarity=familiarityOf(summary.get("familiarity")),
            warnings=tuple(_text(str(each)) for each in summary.get("warnings", ())),
            ensemble=_optionalFile(folder, summary, ENSEMBLE),
            description=_optionalFile(folder, summary, DESCRIPTION),
        )
    except OSError as error:
        raise InferenceError(
            _("The result has no summary: {why}.").format(why=error.strerror)
        ) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise InferenceError(_("The result's summary is damaged or incomplete.")) from error


def _maps(folder: Path, summary: Mapping[str, Any]) -> dict[str, UncertaintyMap]:
    """All maps of the summary; the first is that of the requested measure, from `uncertainty`."""
    requested = str(summary["measure"])
    entries = {requested: {"file": UNCERTAINTY, **summary["uncertainty"]}}
    for measure, entry in summary.get("uncertainty_maps", {}).items():
        entries.setdefault(str(measure), entry)
    return {
        measure: UncertaintyMap(
            file=_resultFile(folder, entry["file"]),
            windowMax=positiveNumber(entry["window_max"]),
            peak=finiteNumber(entry["max"]),
        )
        for measure, entry in entries.items()
    }


def _computedWith(summary: Mapping[str, Any]) -> str:
    """Back-end, precision and processor that the summary names."""
    parts = (str(summary.get(key) or "") for key in ("backend", "precision", "device"))
    return _text(", ".join(part for part in parts if part))


def _optionalFile(folder: Path, summary: Mapping[str, Any], usual: str) -> Path | None:
    """The file that the summary lists for the kind of the file `usual`; None if it lists none."""
    name = summary.get("files", {}).get(file_kind(usual))
    return None if name is None else _resultFile(folder, name)


def _resultFile(folder: Path, name: Any) -> Path:
    """A file directly in the folder, even if a summary from elsewhere names a path outside it."""
    return folder / Path(str(name)).name


def _structure(entry: Mapping[str, Any]) -> StructureFigures:
    agreement = entry.get("mean_pairwise_dice")
    return StructureFigures(
        name=_text(entry["name"]),
        volume=finiteNumber(entry["volume_ml"]),
        mean=finiteNumber(entry["mean_ml"]),
        low=finiteNumber(entry["min_ml"]),
        high=finiteNumber(entry["max_ml"]),
        agreement=None if agreement is None else finiteNumber(agreement),
        interval=intervalOf(entry),
        predicted=predictedDiceOf(entry),
        judged=verdictOf(entry),
    )


def _hotSpot(rank: int, entry: Mapping[str, Any]) -> HotSpotFigures:
    x, y, z = (finiteNumber(value) for value in entry["centroid_mm"])
    return HotSpotFigures(
        rank=rank,
        structure=_text(entry.get("structure") or ""),
        volume=finiteNumber(entry["volume_ml"]),
        peak=finiteNumber(entry["peak"]),
        mean=finiteNumber(entry["mean"]),
        centre=(x, y, z),
    )


def _text(value: Any) -> str:
    """A text that the panel may show."""
    return plain_text(str(value), MAX_CHARACTERS)
