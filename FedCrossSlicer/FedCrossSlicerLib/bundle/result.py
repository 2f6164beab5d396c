"""A result folder, as the child process writes it. This module uses neither Qt nor MRML."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError

Point = tuple[float, float, float]


@dataclass(frozen=True)
class UncertaintyMap:
    """The uncertainty map of one measure.

    Attributes
    ----------
    file
        NRRD file, float32.
    windowMax
        Largest value that the measure can have; above 0.
    peak
        Largest value in the map.
    """

    file: Path
    windowMax: float
    peak: float


@dataclass(frozen=True)
class StructureFigures:
    """The figures of one structure.

    Attributes
    ----------
    name
        The structure's name.
    volume
        The ensemble's volume in mL.
    mean, low, high
        Mean, smallest and largest volume of the members in mL.
    agreement
        Mean Dice of all pairs of members, 0 to 1; None for one member.
    """

    name: str
    volume: float
    mean: float
    low: float
    high: float
    agreement: float | None


@dataclass(frozen=True)
class HotSpotFigures:
    """The figures of one hot spot.

    Attributes
    ----------
    rank
        1 is the most uncertain.
    structure
        Name of the nearest structure; ``""`` if no structure was found.
    volume
        Size in mL.
    peak, mean
        Largest and mean uncertainty, in the unit of the measure.
    centre
        World position (x, y, z) in mm, LPS.
    """

    rank: int
    structure: str
    volume: float
    peak: float
    mean: float
    centre: Point


@dataclass(frozen=True)
class Result:
    """The content of ``summary.json`` that the scene needs.

    Attributes
    ----------
    folder
        The result folder.
    measure
        The requested measure; the hot spots are those of its map.
    maps
        The uncertainty maps by measure; `measure` is the first of them.
    distance
        File of the distance to the nearest structure; None if the result has none.
    outlines
        File of the members' segmentations; None if the result has none.
    structures
        Figures of each structure.
    hotSpots
        Figures of each hot spot, the most uncertain first.
    bundleName, bundleHash
        The bundle's name and SHA-256.
    members
        Number of members.
    created
        Date and time, ISO 8601.
    packages
        Version of each Python package, by name.
    computedWith
        Back-end, precision and processor, separated by commas; ``""`` if the summary names none.
    """

    folder: Path
    measure: str
    maps: Mapping[str, UncertaintyMap]
    distance: Path | None
    outlines: Path | None
    structures: tuple[StructureFigures, ...]
    hotSpots: tuple[HotSpotFigures, ...]
    bundleName: str
    bundleHash: str
    members: int
    created: str
    packages: Mapping[str, str]
    computedWith: str

    @property
    def segmentation(self) -> Path:
        """File of the segmentation."""
        return self.folder / "segmentation.seg.nrrd"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the scene reads, except the summary."""
        maps = tuple(each.file for each in self.maps.values())
        optional = (self.distance, self.outlines)
        return (self.segmentation, *maps, *(file for file in optional if file is not None))


def readResult(folder: Path) -> Result:
    """Read the summary of a result folder.

    Parameters
    ----------
    folder
        Folder with ``summary.json``.

    Raises
    ------
    InferenceError
        If the summary is missing, unreadable or incomplete.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Result(
            folder=folder,
            measure=str(summary["measure"]),
            maps=_maps(folder, summary),
            distance=_optionalFile(folder, summary, "distance"),
            outlines=_optionalFile(folder, summary, "outlines"),
            structures=tuple(_structure(each) for each in summary["structures"]),
            hotSpots=tuple(
                _hotSpot(rank, each) for rank, each in enumerate(summary["hot_spots"], start=1)
            ),
            bundleName=str(summary["bundle"]["name"]),
            bundleHash=str(summary["bundle"]["sha256"]),
            members=int(summary["bundle"]["members"]),
            created=str(summary["created"]),
            packages={str(name): str(version) for name, version in summary["packages"].items()},
            computedWith=_computedWith(summary),
        )
    except OSError as error:
        raise InferenceError(
            _("The result has no summary: {why}.").format(why=error.strerror)
        ) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InferenceError(_("The result's summary is damaged or incomplete.")) from error


def _maps(folder: Path, summary: Mapping[str, Any]) -> dict[str, UncertaintyMap]:
    """All maps of the summary; the first is that of the requested measure, from `uncertainty`."""
    requested = str(summary["measure"])
    entries = {requested: {"file": "uncertainty.nrrd", **summary["uncertainty"]}}
    for measure, entry in summary.get("uncertainty_maps", {}).items():
        entries.setdefault(str(measure), entry)
    return {
        measure: UncertaintyMap(
            file=_resultFile(folder, entry["file"]),
            windowMax=_positive(entry["window_max"]),
            peak=_number(entry["max"]),
        )
        for measure, entry in entries.items()
    }


def _computedWith(summary: Mapping[str, Any]) -> str:
    """Back-end, precision and processor that the summary names."""
    parts = (str(summary.get(key) or "") for key in ("backend", "precision", "device"))
    return ", ".join(part for part in parts if part)


def _optionalFile(folder: Path, summary: Mapping[str, Any], kind: str) -> Path | None:
    name = summary.get("files", {}).get(kind)
    return None if name is None else _resultFile(folder, name)


def _resultFile(folder: Path, name: Any) -> Path:
    """A file directly in the folder, even if a summary from elsewhere names a path outside it."""
    return folder / Path(str(name)).name


def _structure(entry: Mapping[str, Any]) -> StructureFigures:
    agreement = entry.get("mean_pairwise_dice")
    return StructureFigures(
        name=str(entry["name"]),
        volume=_number(entry["volume_ml"]),
        mean=_number(entry["mean_ml"]),
        low=_number(entry["min_ml"]),
        high=_number(entry["max_ml"]),
        agreement=None if agreement is None else _number(agreement),
    )


def _hotSpot(rank: int, entry: Mapping[str, Any]) -> HotSpotFigures:
    x, y, z = (_number(value) for value in entry["centroid_mm"])
    return HotSpotFigures(
        rank=rank,
        structure=str(entry.get("structure") or ""),
        volume=_number(entry["volume_ml"]),
        peak=_number(entry["peak"]),
        mean=_number(entry["mean"]),
        centre=(x, y, z),
    )


def _positive(value: Any) -> float:
    """A finite number above 0, as the upper end of a colour range must be."""
    number = _number(value)
    if not number > 0:
        raise ValueError(f"expected a number above 0, got {value}")
    return number


def _number(value: Any) -> float:
    """A finite number; Python's JSON may hold NaN and infinities."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {value}")
    return number
