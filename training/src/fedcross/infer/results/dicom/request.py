"""Checks whether DICOM results can be made, before anything is computed.

This module loads no DICOM library unless DICOM results are requested.
"""

import importlib.util
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedcross.contract.request import ONLY_SERIES, RequestOptions
from fedcross.errors import ConfigError, DataError
from fedcross.model.bundle import Bundle

if TYPE_CHECKING:
    from fedcross.volumes.files.dicom.source import DicomSource

FindSource = Callable[[], "DicomSource"]


def source_finder(
    options: RequestOptions, image: object, series: str | int | None, out: Path | None
) -> FindSource | None:
    """Return a function that finds the DICOM source of an image; None if no DICOM is requested.

    Parameters
    ----------
    options
        Whether DICOM is requested.
    image
        The first image of the case; None if there is none, which is refused elsewhere.
    series
        Which volume of it; None or `ONLY_SERIES` if there is only one.
    out
        The result folder; None if no files are written.

    Raises
    ------
    ConfigError
        If the image is in memory, no files are written, or highdicom is not installed.
    """
    if not options.writes_dicom or image is None:
        return None
    if out is None:
        raise ConfigError("dicom writes files, but out is missing.", "Give the folder as out.")
    if not isinstance(image, str | os.PathLike):
        raise ConfigError(
            "DICOM results need a DICOM image, got one in memory.",
            "Give the folder of the DICOM series.",
        )
    if importlib.util.find_spec("highdicom") is None:
        raise ConfigError(
            "DICOM results need highdicom, which is not installed.",
            "Install it: pip install 'fedcross[dicom]'",
        )
    path, wanted = Path(image), None if series in (None, ONLY_SERIES) else str(series)

    def find() -> "DicomSource":
        from fedcross.volumes.files.dicom.source import find_source

        return find_source(path, wanted)

    return find


def check_source(source: "DicomSource", bundle: Bundle, options: RequestOptions) -> None:
    """Check that DICOM files can be made for a source, by making one of its first slice in memory.

    Raises
    ------
    ConfigError
        If DICOM cannot hold a code of the bundle.
    DataError
        If the header of the source is not as DICOM demands.
    """
    from fedcross.infer.results.dicom.description import EnsembleDescription
    from fedcross.infer.results.dicom.segmentation import make_segmentation
    from fedcross.infer.results.dicom.silence import silence
    from fedcross.volumes.files.dicom.elements import Unreadable

    first = source.frames[0].file
    labels = np.zeros((1, first.rows, first.columns), np.uint8)
    try:
        with silence():
            ensemble = EnsembleDescription.of(bundle)
            made = make_segmentation(labels, source, ensemble, is_labelmap=options.dicom_labelmap)
            made.save_as(io.BytesIO())
    except Unreadable as error:
        raise DataError(
            f"The header of the series {source.name} is not as DICOM demands, so that no DICOM results "
            "can be made of it.",
            "Export the series again, or leave out --dicom.",
        ) from error
