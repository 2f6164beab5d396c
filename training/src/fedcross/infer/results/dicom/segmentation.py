"""DICOM Segmentations: the label map, and the mean probabilities of the structures."""

from collections.abc import Iterable

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from fedcross.infer.results.dicom.codes import concept
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.infer.results.dicom.identity import algorithm, common_arguments, text
from fedcross.infer.results.dicom.images import complete, source_images
from fedcross.infer.results.for_dicom import LEVELS
from fedcross.volumes.files.dicom.source import DicomSource
from fedcross.volumes.structure import Structure


def make_segmentation(
    labels: NDArray[np.uint8],
    source: DicomSource,
    ensemble: EnsembleDescription,
    *,
    is_labelmap: bool = False,
) -> hd.seg.Segmentation:
    """Return the label map as a Segmentation with one segment for each structure.

    Parameters
    ----------
    labels
        uint8 (slices, rows, columns), 0 is background: the first slices of `source`.
    source
        The slices and their identity.
    ensemble
        Names the structures.
    is_labelmap
        Whether to make a Label Map Segmentation instead of one bit for each structure and voxel.
    """
    kind = hd.seg.SegmentationTypeValues
    made = hd.seg.Segmentation(
        source_images(source, len(labels)),
        labels,
        kind.LABELMAP if is_labelmap else kind.BINARY,
        _describe_all(ensemble),
        content_label="SEGMENTATION",
        **common_arguments(source, ensemble, 1, "FedCross segmentation"),
    )
    complete(made, source)
    return made


def make_probability(
    probabilities: Iterable[NDArray[np.float32]], source: DicomSource, ensemble: EnsembleDescription
) -> hd.seg.Segmentation:
    """Return the structures' probabilities as a fractional Segmentation of 8 bits.

    Parameters
    ----------
    probabilities
        For each structure in the order of the labels, float32 (slices, rows, columns) from 0 to 1.
    source, ensemble
        See `make_segmentation`.
    """
    structures = ensemble.structures
    stacked = np.empty((*source.grid.shape, len(structures)), np.float32)
    for index, probability in enumerate(probabilities):
        np.clip(probability, 0, 1, out=stacked[..., index])
    made = hd.seg.Segmentation(
        source_images(source, len(stacked)),
        stacked,
        hd.seg.SegmentationTypeValues.FRACTIONAL,
        _describe_all(ensemble),
        fractional_type=hd.seg.SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=LEVELS,
        content_label="PROBABILITY",
        **common_arguments(source, ensemble, 2, "FedCross probability"),
    )
    complete(made, source)
    return made


def _describe_all(ensemble: EnsembleDescription) -> list[hd.seg.SegmentDescription]:
    identification = algorithm(ensemble)
    return [_describe(each, identification) for each in ensemble.structures]


def _describe(
    structure: Structure, identification: hd.AlgorithmIdentificationSequence
) -> hd.seg.SegmentDescription:
    red, green, blue = (round(255 * channel) for channel in structure.color)
    name = text(structure.name)
    return hd.seg.SegmentDescription(
        structure.label,
        name,
        concept(structure.category, name),
        concept(structure.type, name),
        hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        identification,
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
