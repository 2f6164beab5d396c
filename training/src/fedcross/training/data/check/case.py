"""Check one case: read it in the same way as the training does, and measure image and label."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.contract.fit import CLIPS_OUTLIERS, CLIPS_PADDING, measure_intensities
from fedcross.errors import DataError
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.check.figures import measure_case
from fedcross.training.data.check.report import HISTOGRAM_EDGES, PERCENTILES, CaseReport, Picture
from fedcross.training.data.check.slices import coarsest_axis, draw_slice
from fedcross.training.data.label_grid import describe_mismatch, to_image_grid
from fedcross.training.data.reading import (
    map_label_values,
    read_channel,
    read_further,
    round_label_values,
    with_case_name,
)
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.coregister import check_overlap
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.grid import Grid, find_difference
from fedcross.volumes.intensity import normalise
from fedcross.volumes.preprocessing import Preprocessing

FEW_VALUES = 8
"""An image with so few different values is probably a label."""


def check_case(
    case: CaseFiles, site: SiteConfig, config: TrainingConfig, *, wants_picture: bool
) -> CaseReport:
    """Read and measure one case of a site; an error is stored in the report, not raised.

    Parameters
    ----------
    case
        The case's files.
    site
        The site's configuration.
    config
        The federation's configuration.
    wants_picture
        Whether the report gets a picture.
    """
    report, structures = CaseReport(case.name, patient=case.patient), config.structures
    try:
        image = read_channel(case.image, case.channel)
        report = replace(report, **_measure_image(image, config.preprocessing))
        report = replace(report, remarks=report.remarks + _check_further(case, image, config))
        label_image = read_volume(case.label)
        label = to_image_grid(label_image, image, resample=case.resample_label)
        values, counts = np.unique(round_label_values(label), return_counts=True)
        report = replace(report, values=dict(zip(values.tolist(), counts.tolist(), strict=True)))
        drawn = map_label_values(label, site.mapping(structures))
    except DataError as error:
        return replace(report, problem=str(with_case_name(error, case, site.name)))
    unit_ml = float(np.prod(image.GetSpacing())) / 1000
    volumes = {
        structure.name: round(float(np.count_nonzero(drawn == structure.label)) * unit_ml, 3)
        for structure in structures
        if structure.name not in site.labels_missing
    }
    remarks = [*report.remarks, *notes_of(image)]
    if mismatch := describe_mismatch(label_image, image):
        remarks.append(f"the label is resampled onto the image's grid: {mismatch}.")
    if not drawn.any():
        remarks.append("the label is empty.")
    picture = _picture(image, drawn, report.percentiles) if wants_picture else None
    return replace(
        report,
        volumes_ml=volumes,
        label_sha256=_label_sha256(image, drawn) if drawn.any() else None,
        remarks=tuple(remarks),
        picture=picture,
        figures=measure_case(image, drawn),
    )


def _check_further(case: CaseFiles, image: sitk.Image, config: TrainingConfig) -> tuple[str, ...]:
    """Read the images of the further channels; return remarks about them.

    Raises
    ------
    DataError
        If one cannot be used or has no common point with the first image.
    """
    remarks = []
    first_name, *names = config.preprocessing.channel_names
    for name, other in zip(names, read_further(case), strict=True):
        if is_constant(other):
            remarks.append(f"all voxels of the image for {name} are equal.")
        oriented = [Grid.of(sitk.DICOMOrient(each, "LPS")) for each in (image, other)]
        difference = find_difference(*oriented)
        if difference is not None:
            check_overlap(oriented[1], oriented[0], (first_name, name))
            remarks.append(
                f"the image for {name} is resampled onto that for {first_name}: another "
                f"{difference[0]}."
            )
    return tuple(remarks)


def is_constant(image: sitk.Image) -> bool:
    """Whether all voxels are equal."""
    voxels = sitk.GetArrayViewFromImage(image)
    return bool(voxels.min() == voxels.max())


def voxels_sha256(image: sitk.Image) -> str:
    """SHA-256 of an image's voxels in LPS orientation as float32, in hexadecimal.

    It does not depend on the file format, the stored number type or the stored orientation.
    """
    oriented = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")).astype("<f4")
    digest = hashlib.sha256(repr(oriented.shape).encode("ascii"))
    digest.update((oriented + np.float32(0)).tobytes())  # -0 becomes 0
    return digest.hexdigest()


def _label_sha256(image: sitk.Image, drawn: NDArray[np.uint8]) -> str:
    """SHA-256 of a label in LPS orientation, (z, y, x) on the image's grid."""
    label = sitk.GetImageFromArray(drawn)
    label.CopyInformation(image)
    return voxels_sha256(label)


def _measure_image(image: sitk.Image, preprocessing: Preprocessing) -> dict[str, Any]:
    """The fields of `CaseReport` that follow from the image."""
    voxels = sitk.GetArrayViewFromImage(image)
    percentiles = np.percentile(voxels, PERCENTILES)
    shares, _ = np.histogram(normalise(voxels, preprocessing), HISTOGRAM_EDGES)
    return {
        "size": image.GetSize(),
        "spacing_mm": tuple(round(value, 5) for value in image.GetSpacing()),
        "percentiles": tuple(round(float(value), 4) for value in percentiles),
        "histogram": shares / voxels.size,
        "sha256": voxels_sha256(image),
        "remarks": _intensity_remarks(image, preprocessing),
    }


def _intensity_remarks(image: sitk.Image, preprocessing: Preprocessing) -> tuple[str, ...]:
    if is_constant(image):
        return ("all voxels of the image are equal.",)
    voxels = sitk.GetArrayViewFromImage(image)
    if count := _count_if_few(voxels):
        return (f"the image has only {count} different values, as a label has; is it one?",)
    found, remarks = measure_intensities(voxels), []
    if found.outlier is not None and preprocessing.intensity not in CLIPS_OUTLIERS:
        remarks.append(
            f"the value {found.outlier:g} of a few voxels is far from all others and flattens the "
            "normalised intensities; replace it by that of their neighbours, or use intensity = "
            "'percentile'."
        )
    if found.padding is not None and preprocessing.intensity not in CLIPS_PADDING:
        remarks.append(
            f"the lowest value of the image, {found.padding:g}, is far from all others and shifts the "
            "normalised intensities; replace it by the value of air, or for CT use intensity = 'ct'."
        )
    return tuple(remarks)


def _count_if_few(voxels: NDArray[Any]) -> int:
    """Return the number of different values if it is at most `FEW_VALUES`, else 0."""
    sample = voxels.reshape(-1)[:: max(1, voxels.size // 100_000)]
    if len(np.unique(sample)) > FEW_VALUES:
        return 0
    count = len(np.unique(voxels))
    return count if count <= FEW_VALUES else 0


def _picture(image: sitk.Image, drawn: NDArray[np.uint8], percentiles: Sequence[float]) -> Picture:
    """The middle slice of the label, across the axis with the largest spacing, the head at the top.

    Of an empty label it is the middle slice of the image.
    """
    label = sitk.GetImageFromArray(drawn)
    label.CopyInformation(image)
    upright, label = (sitk.DICOMOrient(each, "LPS") for each in (image, label))
    voxels, drawn = sitk.GetArrayViewFromImage(upright), sitk.GetArrayViewFromImage(label)
    spacing = upright.GetSpacing()[::-1]  # (z, y, x)
    axis = coarsest_axis(spacing)
    planes = np.flatnonzero(drawn.any(axis=tuple({0, 1, 2} - {axis})))
    index = int(planes[len(planes) // 2]) if len(planes) else voxels.shape[axis] // 2
    return draw_slice(voxels, drawn, spacing, axis, index, (percentiles[0], percentiles[-1]))
