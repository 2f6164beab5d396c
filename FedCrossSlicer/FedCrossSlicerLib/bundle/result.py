"""A finished result folder, as the child leaves it. Neither Qt nor MRML here."""

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
    """One measure's map.

    Attributes
    ----------
    file
        Holds the map, float32.
    windowMax, peak
        Largest value that the measure can take, and that occurs.
    """

    file: Path
    windowMax: float
    peak: float


@dataclass(frozen=True)
class StructureFigures:
    """One structure: the ensemble's volume, the members' mean and range in mL, and their agreement.

    Attributes
    ----------
    agreement
        Mean Dice over all pairs of members; None for one member.
    """

    name: str
    volume: float
    mean: float
    low: float
    high: float
    agreement: float | None


@dataclass(frozen=True)
class SpotFigures:
    """One hot spot.

    Attributes
    ----------
    structure
        Along which it lies; ``""`` when nothing was found.
    volume, peak, mean
        Size in mL, largest and mean uncertainty.
    centre
        In the world, LPS mm.
    """

    rank: int
    structure: str
    volume: float
    peak: float
    mean: float
    centre: Point


@dataclass(frozen=True)
class Result:
    """What ``summary.json`` says, as far as the scene needs it.

    Attributes
    ----------
    folder
        Holds the files.
    measure
        What was asked for; the hot spots are those of its map.
    maps
        The uncertainty maps by measure, that of `measure` among them.
    distance, outlines
        Files of the distances to the nearest structure and of the members' segmentations; None unless
        the child was asked to write them for the viewer.
    hotSpots
        Hottest first.
    bundleName, bundleHash, members, created, packages, computed
        Where it comes from: the bundle and its hash, its number of members, date and time (ISO 8601),
        package versions, and what the members were run with, in words.
    """

    folder: Path
    measure: str
    maps: Mapping[str, UncertaintyMap]
    distance: Path | None
    outlines: Path | None
    structures: tuple[StructureFigures, ...]
    hotSpots: tuple[SpotFigures, ...]
    bundleName: str
    bundleHash: str
    members: int
    created: str
    packages: Mapping[str, str]
    computed: str

    @property
    def segmentation(self) -> Path:
        """The segmentation's file."""
        return self.folder / "segmentation.seg.nrrd"

    @property
    def files(self) -> tuple[Path, ...]:
        """All that will be read."""
        maps = tuple(each.file for each in self.maps.values())
        optional = (self.distance, self.outlines)
        return (self.segmentation, *maps, *(file for file in optional if file is not None))


def readResult(folder: Path) -> Result:
    """Read a result folder's summary.

    Raises
    ------
    InferenceError
        If there is none, or it is not a summary.
    """
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Result(
            folder=folder,
            measure=str(summary["measure"]),
            maps=_maps(folder, summary),
            distance=_optional(folder, summary, "distance"),
            outlines=_optional(folder, summary, "outlines"),
            structures=tuple(_structure(each) for each in summary["structures"]),
            hotSpots=tuple(
                _spot(rank, each) for rank, each in enumerate(summary["hot_spots"], start=1)
            ),
            bundleName=str(summary["bundle"]["name"]),
            bundleHash=str(summary["bundle"]["sha256"]),
            members=int(summary["bundle"]["members"]),
            created=str(summary["created"]),
            packages={str(name): str(version) for name, version in summary["packages"].items()},
            computed=_computed(summary),
        )
    except OSError as error:
        raise InferenceError(
            _("The result has no summary: {why}.").format(why=error.strerror)
        ) from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InferenceError(
            _("The result's summary cannot be understood; is it complete?")
        ) from error


def _maps(folder: Path, summary: Mapping[str, Any]) -> dict[str, UncertaintyMap]:
    """All maps of the summary; the asked one comes first, as `uncertainty` describes it."""
    asked = str(summary["measure"])
    described = {asked: {"file": "uncertainty.nrrd", **summary["uncertainty"]}}
    for measure, entry in summary.get("uncertainty_maps", {}).items():
        described.setdefault(str(measure), entry)
    return {
        measure: UncertaintyMap(
            file=_inside(folder, entry["file"]),
            windowMax=_positive(entry["window_max"]),
            peak=_number(entry["max"]),
        )
        for measure, entry in described.items()
    }


def _computed(summary: Mapping[str, Any]) -> str:
    """Back-end, precision and processor, as far as they are named."""
    parts = (str(summary.get(key) or "") for key in ("backend", "precision", "device"))
    return ", ".join(part for part in parts if part)


def _optional(folder: Path, summary: Mapping[str, Any], what: str) -> Path | None:
    name = summary.get("files", {}).get(what)
    return None if name is None else _inside(folder, name)


def _inside(folder: Path, name: Any) -> Path:
    """A file of the folder, whatever a summary from elsewhere may say."""
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


def _spot(rank: int, entry: Mapping[str, Any]) -> SpotFigures:
    x, y, z = (_number(value) for value in entry["centroid_mm"])
    return SpotFigures(
        rank=rank,
        structure=str(entry.get("structure") or ""),
        volume=_number(entry["volume_ml"]),
        peak=_number(entry["peak"]),
        mean=_number(entry["mean"]),
        centre=(x, y, z),
    )


def _positive(value: Any) -> float:
    """A number above 0, as the end of a range of colours."""
    number = _number(value)
    if not number > 0:
        raise ValueError(f"{value} is not above 0")
    return number


def _number(value: Any) -> float:
    """A finite number; JSON of Python may hold NaN and infinities."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not finite")
    return number
