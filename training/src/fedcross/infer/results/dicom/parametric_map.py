"""The map of uncertainty as a DICOM Parametric Map of floating-point values."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from fedcross.contract.measures import TITLES, Measure
from fedcross.infer.results.dicom.codes import NO_UNITS, quantity, scheme_item
from fedcross.infer.results.dicom.identity import common, text
from fedcross.infer.results.dicom.images import restore_references, source_images
from fedcross.model.bundle import Bundle
from fedcross.uncertainty.measures import upper_bound
from fedcross.volumes.files.dicom.source import DicomSource

_MAX_LABEL = 16


def make_uncertainty(
    heat: NDArray[np.float32], measure: Measure, source: DicomSource, bundle: Bundle
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
    bundle
        What segmented.
    """
    manifest = bundle.manifest
    bound = upper_bound(measure, manifest.architecture.classes, len(manifest.members))
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
        **common(source, bundle, 3, "FedCross uncertainty"),
    )
    restore_references(made, source)
    return made
