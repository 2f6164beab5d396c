"""From a result to its summary: volumes, agreement between the members, and hot spots."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from fedcross.contract.measures import Measure
from fedcross.infer.compute import Result
from fedcross.infer.summary import (
    BundleIdentity,
    Geometry,
    HotSpotSummary,
    StructureSummary,
    Summary,
    Uncertainty,
    UncertaintyMap,
)
from fedcross.runtime.versions import package_versions
from fedcross.uncertainty.agreement import MM3_PER_ML, agreement
from fedcross.uncertainty.hotspots import find_hotspots

HOT_SPOT_FRACTION = 0.5
"""A hot spot reaches at least this share of the measure's largest possible value.

For the standard deviation of an even number of members and one structure the threshold is 0.25: half of
the members at 0.75, half at 0.25."""
HOT_SPOT_MIN_ML = 0.01
"""10 mm^3: smaller regions are noise of the interpolation."""
HOT_SPOT_LIMIT = 50


def summarise(
    result: Result,
    maps: Mapping[Measure, UncertaintyMap],
    files: Mapping[str, str],
    timings_s: Mapping[str, float],
) -> Summary:
    """Return the summary of a result.

    Parameters
    ----------
    result
        The ensemble's result.
    maps
        Files and ranges of the maps of uncertainty; that of the requested measure is among them.
    files
        Names of the other files, by what they are.
    timings_s
        Seconds of each stage.
    """
    manifest, grid = result.bundle.manifest, result.grid
    requested = maps[result.options.measure]
    threshold = HOT_SPOT_FRACTION * requested.window_max
    hot_spots = find_hotspots(
        result.heat,
        threshold,
        result.labels,
        {structure.name: structure.label for structure in result.structures},
        grid.index_to_world,
        min_volume_ml=HOT_SPOT_MIN_ML,
        limit=HOT_SPOT_LIMIT,
    )
    return Summary(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        bundle=BundleIdentity(
            name=manifest.name, sha256=result.bundle.sha256, members=len(manifest.members)
        ),
        geometry=Geometry(size=grid.size, spacing_mm=grid.spacing_mm),
        roi=result.inside is not None,
        computed=result.outcome.computed,
        measure=result.options.measure,
        uncertainty=Uncertainty(max=requested.max, window_max=requested.window_max),
        uncertainty_maps=dict(maps),
        structures=_structures(result),
        hot_spot_threshold=threshold,
        hot_spots=tuple(HotSpotSummary(**asdict(spot)) for spot in hot_spots),
        files=dict(files),
        backend=result.backend.name,
        device=result.backend.processor,
        precision=result.backend.precision,
        timings_s=dict(timings_s),
        packages=package_versions(),
    )


def _structures(result: Result) -> tuple[StructureSummary, ...]:
    labels = {structure.name: structure.label for structure in result.structures}
    voxel_mm3 = result.grid.voxel_volume_mm3
    voxel_ml = voxel_mm3 / MM3_PER_ML
    return tuple(
        StructureSummary(
            name=each.name,
            label=labels[each.name],
            volume_ml=np.count_nonzero(result.labels == labels[each.name]) * voxel_ml,
            member_volumes_ml=each.volumes_ml,
            mean_ml=each.mean_ml,
            min_ml=each.min_ml,
            median_ml=each.median_ml,
            max_ml=each.max_ml,
            coefficient_of_variation=each.coefficient_of_variation,
            mean_pairwise_dice=each.mean_pairwise_dice,
        )
        for each in agreement(result.member_labels, labels, voxel_mm3)
    )
