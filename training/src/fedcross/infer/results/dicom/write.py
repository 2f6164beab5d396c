"""Writes a result as DICOM."""

from pathlib import Path

from pydicom.dataset import Dataset

from fedcross.contract.files import DICOM_PROBABILITY, DICOM_SEGMENTATION, DICOM_UNCERTAINTY
from fedcross.errors import DataError
from fedcross.infer.compute import Result
from fedcross.infer.results.dicom.parametric_map import make_uncertainty
from fedcross.infer.results.dicom.segmentation import make_probability, make_segmentation
from fedcross.infer.results.dicom.silence import silence
from fedcross.runtime.files.atomic import atomic_path
from fedcross.volumes.files.dicom.elements import Unreadable
from fedcross.volumes.files.dicom.source import DicomSource
from fedcross.volumes.grid import find_difference

NAMES = (DICOM_SEGMENTATION, DICOM_PROBABILITY, DICOM_UNCERTAINTY)


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
    bundle, options = result.bundle, result.options
    try:
        with silence():
            # One after the other, so that only one of them is in memory.
            labels = make_segmentation(
                result.labels, source, bundle, is_labelmap=options.dicom_labelmap
            )
            _save(labels, folder / DICOM_SEGMENTATION)
            del labels
            means = (result.probability(structure) for structure in result.structures)
            _save(make_probability(means, source, bundle), folder / DICOM_PROBABILITY)
            heat = make_uncertainty(result.heat, options.measure, source, bundle)
            _save(heat, folder / DICOM_UNCERTAINTY)
    except Unreadable as error:
        raise DataError(
            f"The DICOM results of the series {source.name} cannot be made.",
            "Leave out --dicom, and please report it.",
        ) from error
    return NAMES


def _save(made: Dataset, path: Path) -> None:
    with atomic_path(path) as partial:
        made.save_as(partial, enforce_file_format=True)
