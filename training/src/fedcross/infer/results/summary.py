"""The fields of ``summary.json``: a segmentation in numbers.

It holds no paths and nothing about the patient. Lengths are in mm, volumes in mL, world coordinates in
LPS, triples (x, y, z), entropies in nats. ``Summary.model_json_schema()`` is the schema.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fedcross.contract.measures import Measure
from fedcross.contract.request import Precision
from fedcross.contract.verdict import Basis, Verdict

Triple = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundleIdentity(_Part):
    """The bundle that segmented."""

    name: str = Field(description="Name of the bundle.")
    sha256: str = Field(
        description="SHA-256 of the bundle's manifest, which holds the members' hashes."
    )
    members: int = Field(description="Number of members, K.")


class Geometry(_Part):
    """The grid of the input and of every output."""

    size: tuple[int, int, int] = Field(description="Voxels along x, y, z.")
    spacing_mm: Triple = Field(description="Size of a voxel along x, y, z.")


class Uncertainty(_Part):
    """The range of a map of uncertainty."""

    max: float = Field(description="Largest value in the map.")
    window_max: float = Field(
        description="Largest value the measure can take with these classes and members."
    )


class UncertaintyMap(Uncertainty):
    """A map of uncertainty that was written."""

    file: str = Field(description="File name; empty if no file was written.")


class StructureSummary(_Part):
    """One structure: the ensemble's volume, and how far the members agree on it."""

    name: str = Field(description="Name of the structure.")
    label: int = Field(description="Value in the label maps.")
    volume_ml: float = Field(description="Volume in the ensemble's segmentation.")
    member_volumes_ml: tuple[float, ...] = Field(
        description="Volume in each member's segmentation."
    )
    mean_ml: float = Field(description="Mean of the members' volumes.")
    min_ml: float = Field(description="Smallest of the members' volumes.")
    median_ml: float = Field(description="Median of the members' volumes.")
    max_ml: float = Field(description="Largest of the members' volumes.")
    coefficient_of_variation: float | None = Field(
        description="Population standard deviation over mean; null if no member found any."
    )
    mean_pairwise_dice: float | None = Field(
        description="Over all pairs of members, two empty masks counting as 1; null for one member, and "
        "if no member found any."
    )
    interval_ml: tuple[float, float] | None = Field(
        default=None,
        description="Interval for the true volume; null if the bundle is not calibrated for it, or "
        "the structure was not found.",
    )
    interval_coverage: float | None = Field(
        default=None, description="Probability with which `interval_ml` covers the true volume."
    )
    predicted_dice: float | None = Field(
        default=None,
        description="Dice with the truth, predicted from `mean_pairwise_dice`; null if the bundle is "
        "not calibrated for it.",
    )
    predicted_dice_error: float | None = Field(
        default=None, description="Root mean square of the errors of `predicted_dice`."
    )
    verdict: Verdict = Field(
        default=Verdict.LOOK, description="See `fedcross.contract.verdict.judge`."
    )
    verdict_basis: Basis = Field(
        default=Basis.AGREEMENT,
        description="Whether the verdict comes from the agreement or from `predicted_dice`.",
    )


class CalibrationSummary(_Part):
    """What the bundle's calibration is based on."""

    cases: int = Field(description="Labelled cases.")
    sites: int = Field(description="Sites that had such cases.")


class HotSpotSummary(_Part):
    """A place that should be checked; doubt is 1 minus the largest mean probability."""

    rank: int = Field(
        description="1 for the largest sum of doubt, weighted by the closeness to the border."
    )
    centroid_voxel: Triple = Field(
        description="Centroid weighted by the doubt, as continuous index x, y, z."
    )
    centroid_mm: Triple = Field(description="The same point in the world, LPS.")
    volume_ml: float = Field(description="Volume of its voxels.")
    voxels: int = Field(description="Number of its voxels.")
    peak: float = Field(description="Largest doubt in it, 0 to 1.")
    mean: float = Field(description="Mean doubt in it, 0 to 1.")
    structure: str | None = Field(
        description="Structure whose boundary is nearest; null if none was found."
    )


class FamiliaritySummary(_Part):
    """How far the case is from those of the sites that trained the bundle."""

    score: float = Field(
        description="Distance from the sites' cases; only its ratio to the limit has a meaning."
    )
    limit: float = Field(description="A case of the sites exceeds it with `false_alarm_rate`.")
    false_alarm_rate: float = Field(
        description="Share of the sites' cases above the limit, at most."
    )
    is_unusual: bool = Field(description="Whether the score is above the limit.")
    reasons: tuple[str, ...] = Field(description="The most unusual properties, in words.")


class Summary(_Part):
    """The whole file ``summary.json``."""

    schema_version: Literal[1] = Field(default=1, description="Version of this format.")
    created: str = Field(description="Date and time, ISO 8601, UTC.")
    bundle: BundleIdentity = Field(description="The bundle that segmented.")
    geometry: Geometry = Field(description="The grid of the input and of every output.")
    roi: bool = Field(description="Whether only a region of interest was segmented.")
    computed: float = Field(
        description="Share of the volume's patches that every member computed; below 1 with a region "
        "of interest, or if only patches near the structures were computed."
    )
    measure: Measure = Field(description="Measure that `uncertainty.nrrd` shows.")
    uncertainty: Uncertainty = Field(description="Range of the map of `measure`.")
    uncertainty_maps: dict[Measure, UncertaintyMap] = Field(
        description="Every map that was requested."
    )
    structures: tuple[StructureSummary, ...] = Field(description="The structures of the bundle.")
    calibration: CalibrationSummary | None = Field(
        default=None, description="Null if the bundle is not calibrated."
    )
    hot_spot_threshold: float = Field(description="Lowest doubt in a hot spot.")
    hot_spots: tuple[HotSpotSummary, ...] = Field(description="At most 50, by rank.")
    familiarity: FamiliaritySummary | None = Field(
        default=None,
        description="Null if the bundle has no profile, or only a region of interest was segmented.",
    )
    files: dict[str, str] = Field(description="Names of the other files, by what they are.")
    backend: str = Field(description="Back-end that ran the networks.")
    device: str = Field(description="Processor, in words.")
    precision: Precision = Field(description="Number format of the networks.")
    timings_s: dict[str, float] = Field(
        description="Seconds of each stage before this file was written."
    )
    warnings: tuple[str, ...] = Field(
        default=(),
        description="What a person should know about the images, one sentence each; also that the scan "
        "is unlike those of the sites.",
    )
    packages: dict[str, str] = Field(description="Versions of the packages that decide a result.")
