"""What all DICOM objects of a result have in common: their series, and what made them."""

from typing import Any

import highdicom as hd

from fedcross.contract.plain_text import plain_text
from fedcross.infer.results.dicom.codes import FAMILY
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.runtime.versions import __version__
from fedcross.volumes.files.dicom.source import DicomSource

MAKER = "FedCross"
MAX_TEXT = 64
"""Characters of a text of DICOM's type LO."""
_MAX_SERIES = 10_000_000


def common_arguments(
    source: DicomSource, ensemble: EnsembleDescription, number: int, title: str
) -> dict[str, Any]:
    """Return the arguments that every object of highdicom takes.

    Parameters
    ----------
    source
        Its series number times 100, plus `number`, is that of the new series.
    ensemble
        What segmented; the SHA-256 of its bundle is the serial number of the device.
    number
        1, 2, ... for the objects of a result.
    title
        Beginning of the description of the series; the name of the bundle follows.
    """
    found = source.frames[0].file.series_number or 0
    return {
        "series_instance_uid": hd.UID(),
        "series_number": 100 * found + number if 0 < found < _MAX_SERIES else number,
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": "fedcross segment",
        "software_versions": __version__,
        "device_serial_number": ensemble.sha256,
        "series_description": text(f"{title}: {ensemble.name}"),
        "content_creator_name": f"{MAKER}^segment",
        "content_description": text(title),
        "specific_character_set": "ISO_IR 192",
    }


def algorithm(ensemble: EnsembleDescription) -> hd.AlgorithmIdentificationSequence:
    """Return the identification of the ensemble: its name, and as its version the bundle's SHA-256."""
    return hd.AlgorithmIdentificationSequence(
        name=text(ensemble.name),
        family=FAMILY,
        version=ensemble.sha256,
        source=text(f"{MAKER} {ensemble.version}"),
        parameters={"members": str(ensemble.members), "created": ensemble.created},
    )


def text(value: str) -> str:
    """Return a text as DICOM's type LO holds it: one line of 1 to 64 characters."""
    return plain_text(value, MAX_TEXT).replace("\\", "/").strip() or "unnamed"
