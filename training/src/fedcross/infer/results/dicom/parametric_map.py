"""The map of uncertainty as a DICOM Parametric Map of floating-point values."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from fedcross.contract.measures import TITLES, Measure
from fedcross.infer.results.dicom.codes import NO_UNITS, quantity, scheme_item
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.infer.results.dicom.identity import common_arguments, text
from fedcross.infer.results.dicom.images import complete, slice_number, source_images
from fedcross.uncertainty.measures import upper_bound
from fedcross.volumes.files.dicom.source import DicomSource

_MAX_LABEL = 16
_SIDES, _UNPAIRED = ("R", "L", "B"), "U"


def make_uncertainty(
    heat: NDArray[np.float32], measure: Measure, source: DicomSource, ensemble: EnsembleDescription
) -> hd.pm.ParametricMap:
    """Return a map of uncertainty as a Parametric Map with its quantity and its unit.

    Parameters
    ----------
    heat
        float32 (slices, rows, columns), the map on the grid of `source`.
    measure
        What it shows.
    source
        The slices and their identity.
    ensemble
        What segmented.
    """
    bound = upper_bound(measure, 1 + len(ensemble.structures), ensemble.members)
    code = quantity(measure)
    mapping = hd.pm.RealWorldValueMapping(
        lut_label=str(code.value).upper()[:_MAX_LABEL],
        lut_explanation=text(TITLES[measure]),
        unit=NO_UNITS,
        value_range=(0.0, max(bound, float(heat.max()))),
        quantity_definition=code,
    )
    made = hd.pm.ParametricMap(
        source_images(source, len(heat)),
        heat,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            hd.VOILUTTransformation(window_center=bound / 2, window_width=bound)
        ],
        content_label="UNCERTAINTY",
        coding_schemes=[scheme_item()],
        **common_arguments(source, ensemble, 3, "FedCross uncertainty"),
    )
    _sort_frames(made, heat)
    complete(made, source)
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(source.header)]
    return made


def _sort_frames(made: hd.pm.ParametricMap, heat: NDArray[np.float32]) -> None:
    """Put the frames in the order of the slices, in place.

    dcmqi takes the frames as they come, as slices along the normal; highdicom stores them against it.
    """
    groups = sorted(made.PerFrameFunctionalGroupsSequence, key=slice_number)
    for number, group in enumerate(groups, start=1):
        group.FrameContentSequence[0].DimensionIndexValues = number
    made.PerFrameFunctionalGroupsSequence = groups
    made.FloatPixelData = heat.astype("<f4", copy=False).tobytes()


def _anatomy(header: Dataset) -> Dataset:
    """The region and the side of the source; tissue, which is unpaired, if it does not state them.

    dcmqi, with which 3D Slicer reads Parametric Maps, needs them.
    """
    anatomy = Dataset()
    side = header.get("ImageLaterality") or header.get("Laterality")
    anatomy.FrameLaterality = side if side in _SIDES else _UNPAIRED
    anatomy.AnatomicRegionSequence = header.get("AnatomicRegionSequence") or [
        hd.sr.CodedConcept.from_code(codes.SCT.Tissue)
    ]
    return anatomy
