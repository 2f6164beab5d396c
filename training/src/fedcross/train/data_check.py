"""Look at every case of a federation before anybody trains on it.

Nothing stops at the first mistake: whatever is wrong is named, case by case, and the others are
looked at all the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.infer.events import NullReporter, Reporter
from fedcross.infer.preprocess import zscore
from fedcross.model.manifest import Structure
from fedcross.train.cases import Gathered, gather, split
from fedcross.train.config import TrainingConfig
from fedcross.train.config_sections import SiteConfig
from fedcross.train.data_report import (
    HISTOGRAM_EDGES,
    PERCENTILES,
    CaseReport,
    DataReport,
    Duplicate,
    Picture,
    SiteReport,
)
from fedcross.train.reading import in_case, mapped, read_channel, read_label
from fedcross.train.volumes import CaseFiles

PICTURES = 6  # of each site
UNUSUAL = 4.0  # times larger or smaller than the federation's median


def check_data(config: TrainingConfig, reporter: Reporter | None = None) -> DataReport:
    """Read every case of every site, those that no part uses too.

    Parameters
    ----------
    config
        The federation's configuration.
    reporter
        Hears of every case read.
    """
    hear = reporter or NullReporter()
    found = [_find(site, config) for site in config.sites]
    total = sum(len(gathered.cases) for gathered, _, _ in found)
    done = 0
    sites = []
    for site, (gathered, parts, problem) in zip(config.sites, found, strict=True):
        cases: list[CaseReport] = []
        for case in gathered.cases:
            report = _check_case(case, site, config.structures, wants_picture=_wants_picture(cases))
            cases.append(replace(report, part=parts.get(case.name, "")))
            done += 1
            hear.progress(done, total, "check")
        cases += [CaseReport(name, problem=str(e)) for name, e in gathered.problems.items()]
        remarks = _never_drawn(site, cases, config.structures)
        sites.append(SiteReport(site.name, tuple(cases), gathered.notes, remarks, problem))
    return DataReport(
        _with_unusual_volumes(sites),
        tuple(structure.name for structure in config.structures),
        _duplicates(sites),
    )


def _wants_picture(cases: Sequence[CaseReport]) -> bool:
    """Whether a site has fewer pictures than it shows."""
    return sum(case.picture is not None for case in cases) < PICTURES


def _find(site: SiteConfig, config: TrainingConfig) -> tuple[Gathered, dict[str, str], str | None]:
    """The site's cases, their parts, and what is wrong with the site as a whole."""
    try:
        gathered = gather(site, config.data_root)
    except DataError as error:
        return Gathered((), {}, {}), {}, str(error)
    try:
        cases = split(site, gathered, config.seed)
    except DataError as error:
        # Half cases are named already; that there are too few without them is no news.
        return gathered, {}, None if gathered.problems else str(error)
    return gathered, {case.name: part for part, group in cases.parts() for case in group}, None


def _check_case(
    case: CaseFiles, site: SiteConfig, structures: Sequence[Structure], *, wants_picture: bool
) -> CaseReport:
    report = CaseReport(case.name, patient=case.patient)
    try:
        image = read_channel(case.image, case.channel)
        voxels = sitk.GetArrayViewFromImage(image)
        report = replace(report, **_about_image(image, voxels))
        label = read_label(case, image)
        values, counts = np.unique(label, return_counts=True)
        report = replace(report, values=dict(zip(values.tolist(), counts.tolist(), strict=True)))
        drawn = mapped(label, site.mapping(structures))
    except DataError as error:
        return replace(report, problem=str(in_case(error, case, site.name)))
    unit_ml = float(np.prod(image.GetSpacing())) / 1000
    return replace(
        report,
        volumes_ml={
            structure.name: round(float(np.count_nonzero(drawn == structure.label)) * unit_ml, 3)
            for structure in structures
            if structure.name not in site.labels_missing
        },
        remarks=(*report.remarks, *(() if drawn.any() else ("nothing is drawn in it.",))),
        picture=_picture(image, voxels, drawn, report.percentiles) if wants_picture else None,
    )


def _about_image(image: sitk.Image, voxels: NDArray[Any]) -> dict[str, Any]:
    percentiles = np.percentile(voxels, PERCENTILES)
    shares, _ = np.histogram(zscore(voxels), HISTOGRAM_EDGES)
    constant = voxels.min() == voxels.max()
    return {
        "size": image.GetSize(),
        "spacing_mm": tuple(round(value, 5) for value in image.GetSpacing()),
        "percentiles": tuple(round(float(value), 4) for value in percentiles),
        "histogram": shares / voxels.size,
        "sha256": voxels_sha256(image),
        "remarks": ("all of its voxels are equal.",) if constant else (),
    }


def voxels_sha256(image: sitk.Image) -> str:
    """Identity of an image's voxels: the same for int16 and float32, for DICOM and NIfTI."""
    oriented = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")).astype("<f4")
    digest = hashlib.sha256(repr(oriented.shape).encode("ascii"))
    digest.update((oriented + np.float32(0)).tobytes())  # -0 becomes 0
    return digest.hexdigest()


def _picture(
    image: sitk.Image, voxels: NDArray[Any], drawn: NDArray[np.uint8], percentiles: Sequence[float]
) -> Picture:
    """The plane with the smallest voxels through the middle of what is drawn."""
    spacing = image.GetSpacing()[::-1]
    axis = int(np.argmax(spacing))
    planes = np.flatnonzero(drawn.any(axis=tuple({0, 1, 2} - {axis})))
    index = int(planes[len(planes) // 2]) if len(planes) else voxels.shape[axis] // 2
    low, high = percentiles[0], percentiles[-1]
    plane = np.take(voxels, index, axis).astype(np.float32)
    height, width = (spacing[other] for other in range(3) if other != axis)
    return Picture(
        np.clip((plane - low) / max(high - low, 1e-9), 0, 1),
        np.take(drawn, index, axis),
        height / width,
    )


def _never_drawn(
    site: SiteConfig, cases: Sequence[CaseReport], structures: Sequence[Structure]
) -> tuple[str, ...]:
    checked = [case for case in cases if case.volumes_ml]
    if not checked:
        return ()
    return tuple(
        f"{structure.name} is in none of its labels; if nobody drew it here, name it in "
        "labels_missing."
        for structure in structures
        if structure.name not in site.labels_missing
        and not any(case.volumes_ml[structure.name] for case in checked)
    )


def _with_unusual_volumes(sites: Sequence[SiteReport]) -> tuple[SiteReport, ...]:
    """Tell volumes that are far from the federation's median: a wrong spacing, or a wrong label."""
    every: dict[str, list[float]] = {}
    for case in (case for site in sites for case in site.cases):
        for name, volume in case.volumes_ml.items():
            if volume > 0:
                every.setdefault(name, []).append(volume)
    usual = {name: median(volumes) for name, volumes in every.items()}
    return tuple(
        replace(site, cases=tuple(_told_if_unusual(case, usual) for case in site.cases))
        for site in sites
    )


def _told_if_unusual(case: CaseReport, usual: Mapping[str, float]) -> CaseReport:
    odd = tuple(
        f"{name} has {volume:.3g} mL, the median of all is {usual[name]:.3g} mL."
        for name, volume in case.volumes_ml.items()
        if volume > 0 and not 1 / UNUSUAL < volume / usual[name] < UNUSUAL
    )
    return replace(case, remarks=(*case.remarks, *odd))


def _duplicates(sites: Sequence[SiteReport]) -> tuple[Duplicate, ...]:
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for site in sites:
        for case in site.cases:
            if case.sha256 is not None:
                groups.setdefault(case.sha256, []).append((site.name, case.name, case.part))
    return tuple(Duplicate(tuple(group)) for group in groups.values() if len(group) > 1)
