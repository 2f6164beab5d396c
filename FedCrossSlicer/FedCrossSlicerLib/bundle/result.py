"""The content of a result folder. This module uses neither Qt nor MRML."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcross.contract.figures import StructureFigures
from fedcross.contract.files import SEGMENTATION

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
class Familiarity:
    """How far a scan is unlike those of the training hospitals.

    Attributes
    ----------
    isUnusual
        Whether the score exceeds the limit.
    reasons
        What is unusual, a few words each.
    score, limit
        The score of the scan, and the limit above which a scan is unusual.
    falseAlarmRate
        Share of the scans of the training hospitals whose score is above the limit.
    """

    isUnusual: bool
    reasons: tuple[str, ...]
    score: float
    limit: float
    falseAlarmRate: float


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
    """The content of a result's summary that the scene needs.

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
    contours
        File of the inner and outer contours; None if the bundle is not calibrated.
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
    familiarity
        How far the scan is unlike those of the training hospitals; None if the bundle has no profile of
        them.
    warnings
        What a person should know about the images, one sentence each.
    ensemble, description
        Files of the label map with the mean probabilities, and of what DICOM files say of the bundle;
        None if the result has none.
    """

    folder: Path
    measure: str
    maps: Mapping[str, UncertaintyMap]
    distance: Path | None
    outlines: Path | None
    contours: Path | None
    structures: tuple[StructureFigures, ...]
    hotSpots: tuple[HotSpotFigures, ...]
    bundleName: str
    bundleHash: str
    members: int
    created: str
    packages: Mapping[str, str]
    computedWith: str
    familiarity: Familiarity | None
    warnings: tuple[str, ...] = ()
    ensemble: Path | None = None
    description: Path | None = None

    @property
    def segmentation(self) -> Path:
        """File of the segmentation."""
        return self.folder / SEGMENTATION

    @property
    def files(self) -> tuple[Path, ...]:
        """All volumes that the scene reads."""
        maps = tuple(each.file for each in self.maps.values())
        optional = (self.distance, self.outlines, self.contours, self.ensemble)
        return (self.segmentation, *maps, *(file for file in optional if file is not None))
