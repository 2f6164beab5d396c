"""A finished result folder, as the child leaves it. Neither Qt nor MRML here."""

import json
from dataclasses import dataclass
from pathlib import Path

from FedCrossSlicerLib.errors import InferenceError

Point = tuple[float, float, float]


@dataclass(frozen=True)
class StructureFigures:
    """One structure: the ensemble's volume and the members' range, in mL."""

    name: str
    volume: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """What ``summary.json`` says, as far as the scene needs it.

    Attributes
    ----------
    folder
        Holds the files.
    measure
        What the uncertainty map shows.
    windowMax, peak
        Largest value that the measure can take, and that occurs.
    hotSpots
        Centres of the hot spots in the world, LPS mm, hottest first.
    bundleName, bundleHash, members, created, packages
        Where it comes from: the bundle and its hash, its number of members, date and time (ISO 8601),
        package versions.
    """

    folder: Path
    measure: str
    windowMax: float
    peak: float
    structures: tuple[StructureFigures, ...]
    hotSpots: tuple[Point, ...]
    bundleName: str
    bundleHash: str
    members: int
    created: str
    packages: dict[str, str]

    @property
    def segmentation(self) -> Path:
        """The segmentation's file."""
        return self.folder / "segmentation.seg.nrrd"

    @property
    def uncertainty(self) -> Path:
        """The uncertainty map's file."""
        return self.folder / "uncertainty.nrrd"


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
            windowMax=float(summary["uncertainty"]["window_max"]),
            peak=float(summary["uncertainty"]["max"]),
            structures=tuple(
                StructureFigures(
                    name=str(structure["name"]),
                    volume=float(structure["volume_ml"]),
                    low=float(structure["min_ml"]),
                    high=float(structure["max_ml"]),
                )
                for structure in summary["structures"]
            ),
            hotSpots=tuple(_point(spot["centroid_mm"]) for spot in summary["hot_spots"]),
            bundleName=str(summary["bundle"]["name"]),
            bundleHash=str(summary["bundle"]["sha256"]),
            members=int(summary["bundle"]["members"]),
            created=str(summary["created"]),
            packages=dict(summary["packages"]),
        )
    except OSError as error:
        raise InferenceError(f"The result has no summary: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InferenceError(
            "The result's summary cannot be understood; is it complete?"
        ) from error


def _point(values: list[float]) -> Point:
    x, y, z = values
    return (float(x), float(y), float(z))
