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
    "bundle folder": 4,
    "bundle zip": 6,
    "NIfTI": 16,
    "Analyze": 6,
    "NRRD": 18,
    "MetaImage": 12,
    "DICOM series": 3,
    "DICOM file": 4,
    "event line": 7,
    "request line": 7,
    "configuration": 9,
    "case list": 8,
}
"""Inputs of each kind of 100; those that take longest are fewest."""
