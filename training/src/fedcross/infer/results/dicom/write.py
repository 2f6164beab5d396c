"""Writes a result as DICOM."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from fedcross.contract.files import (
    DICOM_FILES,
    DICOM_PROBABILITY,
    DICOM_SEGMENTATION,
    DICOM_UNCERTAINTY,
)
from fedcross.contract.measures import Measure
from fedcross.errors import DataError
from fedcross.infer.compute import Result
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.infer.results.dicom.parametric_map import make_uncertainty
from fedcross.infer.results.dicom.segmentation import make_probability, make_segmentation
from fedcross.infer.results.dicom.silence import silence
from fedcross.runtime.files.atomic import atomic_path
from fedcross.volumes.files.dicom.elements import Unreadable
from fedcross.volumes.files.dicom.source import DicomSource
from fedcross.volumes.grid import find_difference


@dataclass(frozen=True)
class DicomContent:
    """The voxels of DICOM results, arrays (slices, rows, columns) on the grid of the source.

    Attributes
    ----------
    labels : NDArray
        uint8, 0 is background.
    probabilities : iterable of NDArray
        For each structure in the order of the labels float32 from 0 to 1. It is read once.
    heat : NDArray
        float32, the map of uncertainty.
    measure : str
        What `heat` shows.
    """

    labels: NDArray[np.uint8]
    probabilities: Iterable[NDArray[np.float32]]
    heat: NDArray[np.float32]
    measure: Measure


def write_dicom(result: Result, source: DicomSource, folder: Path) -> tuple[str, ...]:
    """Write label map, probabilities and the map of uncertainty; return the names of the files.

    Parameters
    ----------
    result
        The result, on the grid of `source`.
    source
        The DICOM images that were segmented.
    folder
        Where to write.

    Raises
    ------
    DataError
        If the images are not those that were segmented.
    OutputError
        If a file cannot be written.
    """
    if find_difference(source.grid, result.grid) is not None:
        raise DataError(
            f"The series {source.name} was changed while it was segmented.", "Segment it again."
        )
    means = (result.probability(structure) for structure in result.structures)
    content = DicomContent(result.labels, means, result.heat, result.options.measure)
    ensemble = EnsembleDescription.of(result.bundle)
    return write_content(
        content, source, ensemble, folder, is_labelmap=result.options.dicom_labelmap
    )


def write_content(
    content: DicomContent,
    source: DicomSource,
    ensemble: EnsembleDescription,
    folder: Path,
    *,
    is_labelmap: bool = False,
) -> tuple[str, ...]:
    """Write the DICOM files of a result; return their names.

    Parameters
    ----------
    content
        The voxels.
    source
        The DICOM images to which the files refer.
    ensemble
        What segmented.
    folder
        Where to write.
    is_labelmap
        See `fedcross.infer.results.dicom.segmentation.make_segmentation`.

    Raises
    ------
    DataError
        If the header of the source is not as DICOM demands.
    OutputError
        If a file cannot be written.
    """
    try:
        with silence():
            # One after the other, so that only one of them is in memory.
            labels = make_segmentation(content.labels, source, ensemble, is_labelmap=is_labelmap)
            _save(labels, folder / DICOM_SEGMENTATION)
            del labels
            means = make_probability(content.probabilities, source, ensemble)
            _save(means, folder / DICOM_PROBABILITY)
            del means
            heat = make_uncertainty(content.heat, content.measure, source, ensemble)
            _save(heat, folder / DICOM_UNCERTAINTY)
    except Unreadable as error:
        raise DataError(
            f"The DICOM results of the series {source.name} cannot be made.",
            "Do without DICOM results, and please report it.",
        ) from error
    return DICOM_FILES


def _save(made: Dataset, path: Path) -> None:
    with atomic_path(path) as partial:
        made.save_as(partial, enforce_file_format=True)
