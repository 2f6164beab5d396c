"""All kinds of input, and how many of each are tried of 100 inputs."""

from fuzz.kind import Kind
from fuzz.kinds import archives, bundles, configurations, dicom, lines, lists, volumes

ALL: tuple[Kind, ...] = (
    *bundles.KINDS,
    *archives.KINDS,
    *volumes.KINDS,
    *dicom.KINDS,
    *lines.KINDS,
    *configurations.KINDS,
    *lists.KINDS,
)
SHARES = {
    "bundle folder": 2,
    "bundle zip": 4,
    "NIfTI": 18,
    "Analyze": 6,
    "NRRD": 20,
    "MetaImage": 14,
    "DICOM series": 2,
    "DICOM file": 3,
    "event line": 8,
    "request line": 5,
    "DICOM request": 2,
    "configuration": 8,
    "case list": 8,
}
"""Inputs of each kind of 100; those that take longest are fewest."""
