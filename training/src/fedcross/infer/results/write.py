"""Writes the files of a result, all but the summary."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.files import (
    CONTOURS,
    DISTANCE,
    OUTLINES,
    SEGMENTATION,
    UNCERTAINTY,
    file_kind,
    member_file,
    probability_file,
    uncertainty_file,
)
from fedcross.contract.measures import Measure
from fedcross.infer.compute import Result
from fedcross.infer.results.contours import has_contours, make_contours, write_contours
from fedcross.infer.results.for_dicom import write_for_dicom
from fedcross.infer.results.outlines import write_outlines
from fedcross.infer.results.summary import UncertaintyMap
from fedcross.uncertainty.measures import upper_bound
from fedcross.volumes.distance import distance_map
from fedcross.volumes.files.segmentation import write_segmentation
from fedcross.volumes.files.write import write_volume

if TYPE_CHECKING:
    from fedcross.volumes.files.dicom.source import DicomSource

Maps = dict[Measure, UncertaintyMap]


@dataclass(frozen=True)
class Written:
    """The files of a result.

    Attributes
    ----------
    maps : dict
        Every map of uncertainty, the requested one first.
    files : dict
        File names by `fedcross.contract.files.file_kind`, without further maps and the summary.
    """

    maps: Maps
    files: dict[str, str]


def describe_maps(result: Result) -> Maps:
    """Return the ranges of the maps that were requested, without their files."""
    return {
        measure: _describe(result, measure, result.uncertainty(measure), file="")
        for measure in result.options.measures
    }


def write_result(result: Result, folder: Path, dicom: "DicomSource | None" = None) -> Written:
    """Write a result's files to an empty folder, also as DICOM if the source of the image is given.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    maps = {measure: _write_map(result, measure, folder) for measure in result.options.measures}
    names = [SEGMENTATION, UNCERTAINTY]
    grid, structures = result.grid, result.structures
    write_segmentation(grid.image(result.labels), structures, folder / SEGMENTATION)
    calibration = result.bundle.manifest.calibration
    if has_contours(calibration):
        names.append(CONTOURS)
        contours = make_contours(result.labels, structures, calibration, grid)
        write_contours(contours, grid, folder / CONTOURS)
    if result.options.for_viewer:
        names += [OUTLINES, DISTANCE]
        write_outlines(result.member_labels, structures, grid, folder / OUTLINES)
        distances = distance_map(result.labels, grid.spacing_mm)
        write_volume(grid.image(distances), folder / DISTANCE)
    if result.options.save_probabilities:
        for structure in structures:
            names.append(probability_file(structure.slug))
            write_volume(grid.image(result.probability(structure)), folder / names[-1])
    if result.options.save_members:
        for index, labels in enumerate(result.member_labels):
            names.append(member_file(index))
            write_segmentation(grid.image(np.asarray(labels)), structures, folder / names[-1])
    if result.options.for_dicom:
        names += write_for_dicom(result, folder)
    if dicom is not None:
        from fedcross.infer.results.dicom.write import write_dicom  # imports highdicom

        names += write_dicom(result, dicom, folder)
    return Written(maps, {file_kind(name): name for name in names})


def _write_map(result: Result, measure: Measure, folder: Path) -> UncertaintyMap:
    """Write one map; only this one is in memory beside the requested one."""
    file = UNCERTAINTY if measure == result.options.measure else uncertainty_file(measure)
    heat = result.uncertainty(measure)
    write_volume(result.grid.image(heat), folder / file)
    return _describe(result, measure, heat, file)


def _describe(
    result: Result, measure: Measure, heat: NDArray[np.float32], file: str
) -> UncertaintyMap:
    manifest = result.bundle.manifest
    bound = upper_bound(measure, manifest.architecture.classes, len(manifest.members))
    return UncertaintyMap(file=file, max=float(heat.max()), window_max=bound)
