"""``summary.json``: what a segmentation says in numbers.

No paths and nothing about the patient. Lengths in mm, volumes in mL, world coordinates LPS, triples
(x, y, z), entropies in nats. ``Summary.model_json_schema()`` is the schema.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fedcross.model.bundle import Bundle
from fedcross.runtime.device import Precision
from fedcross.runtime.versions import package_versions
from fedcross.uncertainty.agreement import MM3_PER_ML, LabelMap, compare_members
from fedcross.uncertainty.hotspots import find_hotspots
from fedcross.uncertainty.measures import Measure
from fedcross.volumes.grid import Grid

HOT_SPOT_FRACTION = 0.5
"""Hot is what reaches half of the measure's largest value. For the standard deviation of an even
number of members and one structure this is 0.25: half of the members 0.75 sure, half 0.25."""
HOT_SPOT_MIN_ML = 0.01
"""10 mm^3: smaller specks are noise of the interpolation, not something to look at."""
HOT_SPOT_LIMIT = 50

Triple = tuple[float, float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BundleIdentity(_Part):
    """Which ensemble it was."""

    name: str
    sha256: str = Field(description="Of the bundle's manifest, which holds its members' hashes.")
    members: int = Field(description="K.")


class Geometry(_Part):
    """The grid of the input and of every output."""

    size: tuple[int, int, int] = Field(description="Voxels.")
    spacing_mm: Triple


class Uncertainty(_Part):
    """About the uncertainty map."""

    max: float = Field(description="Largest value in the map.")
    window_max: float = Field(
        description="Largest value the measure can take with these classes and members."
    )


class UncertaintyMap(Uncertainty):
    """One of the maps that were written."""

    file: str


class StructureSummary(_Part):
    """One structure: the ensemble's volume, and how far the members agree on it."""

    name: str
    label: int = Field(description="Value in the label maps.")
    volume_ml: float = Field(description="In the ensemble's segmentation.")
    member_volumes_ml: tuple[float, ...] = Field(description="Member by member.")
    mean_ml: float = Field(description="Of the members' volumes, as are the next four.")
    min_ml: float
    median_ml: float
    max_ml: float
    coefficient_of_variation: float | None = Field(
        description="Population standard deviation over mean; null if no member found any."
    )
    mean_pairwise_dice: float | None = Field(
        description="Over all pairs of members, two empty masks counting as 1; null for one member."
    )


class HotSpotSummary(_Part):
    """A connected region of high uncertainty."""

    rank: int = Field(description="1 for the largest sum of uncertainty times volume.")
    centroid_voxel: Triple = Field(description="Uncertainty-weighted, as continuous index.")
    centroid_mm: Triple = Field(description="The same in the world, LPS.")
    volume_ml: float
    voxels: int
    peak: float
    mean: float
    structure: str | None = Field(description="Whose boundary is nearest; null if there is none.")


class Summary(_Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    created: str = Field(description="Date and time, ISO 8601, UTC.")
    bundle: BundleIdentity
    geometry: Geometry
    roi: bool = Field(description="Whether only a part was segmented.")
    computed: float = Field(
        description="Share of the volume's patches that every member computed; below 1 with a region "
        "of interest, or with a localiser."
    )
    measure: Measure
    uncertainty: Uncertainty = Field(description="Of `measure`.")
    uncertainty_maps: dict[Measure, UncertaintyMap] = Field(description="Every map written.")
    structures: tuple[StructureSummary, ...]
    hot_spot_threshold: float = Field(description="Lowest uncertainty in a hot spot.")
    hot_spots: tuple[HotSpotSummary, ...] = Field(description="Ranked; at most 50.")
    files: dict[str, str] = Field(description="What was written, beside this file.")
    backend: str = Field(description="What ran the networks.")
    device: str = Field(description="In words.")
    precision: Precision
    timings_s: dict[str, float] = Field(description="Stage by stage, until this file was written.")
    packages: dict[str, str] = Field(description="Versions.")


def summarise(
    bundle: Bundle,
    grid: Grid,
    *,
    measure: Measure,
    labels: NDArray[np.uint8],
    heat: NDArray[np.float32],
    member_labels: Sequence[LabelMap],
    roi: bool,
    computed: float,
    uncertainty_maps: Mapping[Measure, UncertaintyMap],
    files: Mapping[str, str],
    backend: str,
    device: str,
    precision: Precision,
    timings_s: Mapping[str, float],
) -> Summary:
    """Put a result into numbers.

    Parameters
    ----------
    bundle
        What segmented.
    grid
        Of all the maps: the input's own.
    measure
        What `heat` shows.
    labels, heat
        The ensemble's segmentation and uncertainty, (z, y, x).
    member_labels
        Each member's label map, (z, y, x); may be in a file.
    roi, computed, uncertainty_maps, files, backend, device, precision, timings_s
        As they stand in the summary.
    """
    manifest = bundle.manifest
    structures = {structure.name: structure.label for structure in manifest.structures}
    shown = uncertainty_maps[measure]
    threshold = HOT_SPOT_FRACTION * shown.window_max
    hot_spots = find_hotspots(
        heat,
        threshold,
        labels,
        structures,
        grid.index_to_world,
        min_volume_ml=HOT_SPOT_MIN_ML,
        limit=HOT_SPOT_LIMIT,
    )
    voxel_ml = grid.voxel_volume_mm3 / MM3_PER_ML
    agreements = compare_members(member_labels, structures, grid.voxel_volume_mm3)
    return Summary(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=BundleIdentity(
            name=manifest.name, sha256=bundle.sha256, members=len(manifest.members)
        ),
        geometry=Geometry(size=grid.size, spacing_mm=grid.spacing_mm),
        roi=roi,
        computed=computed,
        measure=measure,
        uncertainty=Uncertainty(max=shown.max, window_max=shown.window_max),
        uncertainty_maps=dict(uncertainty_maps),
        structures=tuple(
            StructureSummary(
                label=structures[opinion.name],
                volume_ml=np.count_nonzero(labels == structures[opinion.name]) * voxel_ml,
                name=opinion.name,
                member_volumes_ml=opinion.volumes_ml,
                mean_ml=opinion.mean_ml,
                min_ml=opinion.min_ml,
                median_ml=opinion.median_ml,
                max_ml=opinion.max_ml,
                coefficient_of_variation=opinion.coefficient_of_variation,
                mean_pairwise_dice=opinion.mean_pairwise_dice,
            )
            for opinion in agreements
        ),
        hot_spot_threshold=threshold,
        hot_spots=tuple(HotSpotSummary(**asdict(spot)) for spot in hot_spots),
        files=dict(files),
        backend=backend,
        device=device,
        precision=precision,
        timings_s=dict(timings_s),
        packages=package_versions(),
    )
