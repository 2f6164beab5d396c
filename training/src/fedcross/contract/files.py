"""Names of the files in a result folder, and of the segments in the files of outlines and contours."""

import re

from fedcross.contract.measures import MEASURES

SUMMARY = "summary.json"
SEGMENTATION = "segmentation.seg.nrrd"
UNCERTAINTY = "uncertainty.nrrd"
"""The map of the requested measure."""
OUTLINES = "outlines.seg.nrrd"
CONTOURS = "contours.seg.nrrd"
"""Inner and outer contours of a calibrated bundle."""
DISTANCE = "distance.nrrd"
ENSEMBLE = "ensemble.nrrd"
"""Label map and mean probabilities in 8 bits, from which DICOM results can be made."""
DESCRIPTION = "description.json"
"""The bundle as DICOM results describe it."""
DICOM_SEGMENTATION = "segmentation.dcm"
DICOM_PROBABILITY = "probability.dcm"
DICOM_UNCERTAINTY = "uncertainty.dcm"
DICOM_FILES = (DICOM_SEGMENTATION, DICOM_PROBABILITY, DICOM_UNCERTAINTY)
_UNCERTAINTY_OF, _PROBABILITY_OF = "uncertainty_{}.nrrd", "probability_{}.nrrd"
_MEMBER = "member_{}.seg.nrrd"
FARTHEST_MM = 255
"""Largest value in the distance map: this far or farther, or there is no structure at all."""


def uncertainty_file(measure: str) -> str:
    """Return the file name of the map of a measure other than the requested one."""
    return _UNCERTAINTY_OF.format(measure)


def probability_file(structure: str) -> str:
    """Return the file name of a structure's probability; `structure` is its slug."""
    return _PROBABILITY_OF.format(structure)


def member_file(index: int) -> str:
    """Return the file name of a member's own segmentation; `index` counts from 0."""
    return _MEMBER.format(index)


def file_kind(name: str) -> str:
    """Return what a file is, as the key of `files` in the summary: ``member_0``, ``outlines``.

    DICOM files are told apart by ``dicom_``: ``dicom_segmentation``.
    """
    kind = name.partition(".")[0]
    return f"dicom_{kind}" if name in DICOM_FILES else kind


def _pattern(template: str, inside: str = "") -> str:
    return re.escape(template).replace(r"\{\}", inside)


_RESULT_FILE = re.compile(
    "|".join(
        (
            *map(_pattern, (SUMMARY, SEGMENTATION, UNCERTAINTY, OUTLINES, CONTOURS, DISTANCE)),
            *map(_pattern, (ENSEMBLE, DESCRIPTION, *DICOM_FILES)),
            _pattern(_UNCERTAINTY_OF, f"({'|'.join(MEASURES)})"),
            _pattern(_PROBABILITY_OF, r"[^.]+"),
            _pattern(_MEMBER, r"\d+"),
        )
    )
)


def is_result_file(name: str) -> bool:
    """Return whether a request may write a file of this name; a new request deletes only these."""
    return _RESULT_FILE.fullmatch(name) is not None


def member_segment(index: int, structure: str) -> str:
    """Return the segment ID of what member `index`, from 0, found of a structure (its slug)."""
    return f"member_{index}_{structure}"


def intersection_segment(structure: str) -> str:
    """Return the segment ID of what all members found of a structure (its slug)."""
    return f"intersection_{structure}"


def union_segment(structure: str) -> str:
    """Return the segment ID of what any member found of a structure (its slug)."""
    return f"union_{structure}"


def member_of_segment(identifier: str) -> int | None:
    """Return the index of the member that a segment ID names; None for the other segments."""
    found = re.match(r"member_(\d+)_", identifier)
    return int(found[1]) if found else None


def is_union_segment(identifier: str) -> bool:
    """Return whether a segment ID is that of `union_segment`."""
    return identifier.startswith(union_segment(""))


def inner_segment(alpha: float, structure: str) -> str:
    """Return the segment ID of the inner contour for `alpha`, such as ``inner_5_liver`` for 0.05."""
    return f"inner_{_percent(alpha)}_{structure}"


def outer_segment(alpha: float, structure: str) -> str:
    """Return the segment ID of the outer contour for `alpha`, such as ``outer_10_liver`` for 0.1."""
    return f"outer_{_percent(alpha)}_{structure}"


def _percent(alpha: float) -> str:
    return f"{100 * alpha:g}"
