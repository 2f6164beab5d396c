"""How familiar the scans of the benchmark are: scores, false alarms, areas under curves."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from familiarity_scans import FAMILIAR, Scan

from fedcross.calibration.profile import MeasuredCase, profile_of
from fedcross.errors import DataError
from fedcross.infer.familiarity.assess import Familiarity, assess
from fedcross.infer.familiarity.properties import split_name
from fedcross.model.manifest import Manifest
from fedcross.uncertainty.discrimination import auroc

HALVES = 50
"""Random halves of the familiar cases."""


def with_profile(manifest: Manifest, scans: Sequence[Scan]) -> Manifest:
    """Return the manifest with the profile of some scans."""
    profile = profile_of([MeasuredCase(s.site, s.part, s.properties) for s in scans])
    return manifest.model_copy(update={"profile": profile})


def judge(scan: Scan, manifest: Manifest) -> Familiarity:
    """Return how familiar a scan is."""
    found = assess(scan.properties, manifest)
    if found is None:
        raise DataError("The profile has a property that was not measured.")
    return found


def false_alarms(familiar: Sequence[Scan], manifest: Manifest) -> float:
    """Return the share above the limit over `HALVES` random halves of every site's cases."""
    rng, alarms = np.random.default_rng(0), []
    for _ in range(HALVES):
        first, second = [], []
        for site in dict.fromkeys(scan.site for scan in familiar):
            own = [scan for scan in familiar if scan.site == site]
            order = rng.permutation(len(own))
            first += [own[index] for index in order[: len(own) // 2]]
            second += [own[index] for index in order[len(own) // 2 :]]
        half = with_profile(manifest, first)
        alarms += [judge(scan, half).is_unusual for scan in second]
    return float(np.mean(alarms))


def areas_by_kind(scores: Sequence[tuple[str, float]]) -> dict[str, float]:
    """Return the AUROC of each kind of scan against the familiar ones, from (kind, score)."""
    usual = [score for kind, score in scores if kind == FAMILIAR]
    areas = {}
    for one in dict.fromkeys(kind for kind, _ in scores if kind != FAMILIAR):
        both = np.array([*usual, *(score for kind, score in scores if kind == one)])
        areas[one] = auroc(both, np.arange(len(both)) >= len(usual)) or 0.0
    return areas


def only(scan: Scan, group: str) -> Scan:
    """Return a scan with the properties of one group."""
    kept = {}
    for name, value in scan.properties.items():
        found = split_name(name)
        if found is not None and found[0].group == group:
            kept[name] = value
    return replace(scan, properties=kept)
