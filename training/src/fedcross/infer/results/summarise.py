"""Summarises a result: volumes, agreement between the members, and hot spots."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from fedcross.contract.measures import Measure
from fedcross.contract.wording import unfamiliar_text
from fedcross.infer.compute import Result
from fedcross.infer.familiarity.assess import assess
from fedcross.infer.results.hot_spots import THRESHOLD, hot_spots
from fedcross.infer.results.summarise_structures import summarise_structures
from fedcross.infer.results.summary import (
    BundleIdentity,
    CalibrationSummary,
    FamiliaritySummary,
    Geometry,
    HotSpotSummary,
    Summary,
    Uncertainty,
    UncertaintyMap,
)
from fedcross.model.calibration import Calibration
from fedcross.runtime.versions import package_versions


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
    familiarity = _summarise_familiarity(result)
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
        structures=summarise_structures(result),
        calibration=_summarise_calibration(manifest.calibration),
        hot_spot_threshold=THRESHOLD,
        hot_spots=tuple(HotSpotSummary(**asdict(spot)) for spot in hot_spots(result)),
        familiarity=familiarity,
        files=dict(files),
        backend=result.backend.name,
        device=result.backend.processor,
        precision=result.backend.precision,
        timings_s=dict(timings_s),
        warnings=(*result.warnings, *_familiarity_warnings(familiarity)),
        packages=package_versions(),
    )


def _summarise_calibration(calibration: Calibration) -> CalibrationSummary | None:
    if not calibration.structures:
        return None
    return CalibrationSummary(cases=calibration.cases, sites=calibration.sites)


def _familiarity_warnings(found: FamiliaritySummary | None) -> tuple[str, ...]:
    return (unfamiliar_text(found.reasons),) if found is not None and found.is_unusual else ()


def _summarise_familiarity(result: Result) -> FamiliaritySummary | None:
    found = result.properties and assess(result.properties, result.bundle.manifest)
    return FamiliaritySummary(**asdict(found)) if found else None
