"""Put frames together that form one volume, and tell apart what lies at the same place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from fedcross.volumes.files.dicom.frames import Frame

SAME_COSINE = 1e-3
"""Largest difference of the cosines of slices with the same orientation."""
SAME_SPACING = 1e-3
"""Largest relative difference of the pixel spacing of slices of one volume."""
EVEN = 0.2
"""A slice lies off its place in an even stack by at most this share of the slice distance."""
SAME_PLACE = 0.1
"""Slices closer than this share of the slice distance, or than this in mm, lie at the same place."""


@dataclass(frozen=True)
class Candidate:
    """Frames that form one volume, if they can be stacked.

    Attributes
    ----------
    frames : tuple of Frame
        At least one, in the order of their positions; those without one in the order of the files.
    traits : tuple of str
        What distinguishes it from others of its series, such as ``"echo 2"``.
    """

    frames: tuple[Frame, ...]
    traits: tuple[str, ...] = ()


def find_candidates(frames: Iterable[Frame]) -> list[Candidate]:
    """Divide frames into volumes, in the order of series number, series UID and size (largest first).

    Frames of another series, matrix, frame of reference, orientation or pixel spacing belong to another
    volume. So do those with another echo, time point, ... if they cover the same part of space.
    """
    series = sorted(frames, key=_series)
    found: list[Candidate] = []
    for _, of_series in groupby(series, _series):
        alike = _alike(list(of_series))
        parts = [part for group in alike for part in _split(Candidate(_sorted(group)))]
        found += sorted(parts, key=lambda part: -len(part.frames))
    return found


def offsets_mm(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Distances (n,) of frames along the normal of the first one; all have positions."""
    return np.array([frame.position_mm for frame in frames]) @ normal(frames[0])


def normal(frame: Frame) -> NDArray[np.float64]:
    """The unit vector (3,) across a frame, LPS; zero if its axes are parallel."""
    axes = np.array(frame.orientation)
    across = np.cross(axes[:3], axes[3:])
    length = float(np.linalg.norm(across))
    return np.asarray(across / length if length else across)


def deviation(offsets: NDArray[np.float64]) -> float:
    """Return by which share of the slice distance sorted slices lie off an even stack at most.

    Infinite if two slices lie at the same place; 0 for fewer than two slices.
    """
    if len(offsets) < 2:
        return 0.0
    step = float(offsets[-1] - offsets[0]) / (len(offsets) - 1)
    if has_same_places(offsets):
        return float("inf")
    even = offsets[0] + step * np.arange(len(offsets))
    return float(np.abs(offsets - even).max() / step)


def has_same_places(offsets: NDArray[np.float64]) -> bool:
    """Whether two of the sorted slices lie at the same place."""
    steps = np.diff(offsets)
    return bool(len(steps)) and bool(steps.min() <= SAME_PLACE * min(1.0, float(steps.max())))


def _series(frame: Frame) -> tuple[float, str]:
    number = frame.file.series_number
    return (float("inf") if number is None else number, frame.file.series_uid)


def _alike(frames: list[Frame]) -> list[list[Frame]]:
    """Frames with the same patient, study, matrix, frame of reference, orientation and pixel spacing."""
    groups: list[list[Frame]] = []
    for frame in frames:
        for group in groups:
            if _is_alike(frame, group[0]):
                group.append(frame)
                break
        else:
            groups.append([frame])
    return groups


def _is_alike(one: Frame, other: Frame) -> bool:
    a, b = one.file, other.file
    return (
        (a.rows, a.columns, a.frame_of_reference, a.modality, a.inverted, a.refusal)
        == (b.rows, b.columns, b.frame_of_reference, b.modality, b.inverted, b.refusal)
        and _may_be_equal(a.study_uid, b.study_uid)
        and _may_be_equal(a.patient_id, b.patient_id)
        and _close(one.orientation, other.orientation, SAME_COSINE, 0)
        and _close(one.spacing_mm, other.spacing_mm, 0, SAME_SPACING)
        and (one.position_mm is None) == (other.position_mm is None)
    )


def _may_be_equal(one: str, other: str) -> bool:
    """Whether two texts are equal, or one of them is unknown."""
    return one == other or not (one and other)


def _close(
    one: tuple[float, ...] | None, other: tuple[float, ...] | None, atol: float, rtol: float
) -> bool:
    if one is None or other is None:
        return one is other
    return bool(np.allclose(one, other, atol=atol, rtol=rtol))


def _sorted(frames: list[Frame]) -> tuple[Frame, ...]:
    if any(frame.position_mm is None or frame.orientation is None for frame in frames):
        return tuple(frames)
    order = np.argsort(offsets_mm(frames), kind="stable")
    return tuple(frames[k] for k in order)


def _split(candidate: Candidate) -> list[Candidate]:
    """Divide frames by what tells volumes at the same place apart."""
    frames = candidate.frames
    if len(frames) < 2 or frames[0].position_mm is None or frames[0].orientation is None:
        return [candidate]
    for word in frames[0].traits:
        parts = _divide(candidate, word, [frame.traits.get(word, "") for frame in frames])
        if len(parts) > 1 and _overlap(parts):
            return [piece for part in parts for piece in _split(part)]
    if deviation(offsets_mm(frames)) <= EVEN:
        return [candidate]
    for word in frames[0].orders:
        values = [frame.orders.get(word, "") for frame in frames]
        parts = _divide(candidate, _title(word), values)
        if len(parts) > 1 and all(_is_even_stack(part) for part in parts):
            return parts
    return [candidate]


def _divide(candidate: Candidate, word: str, values: Sequence[str]) -> list[Candidate]:
    """The frames of each value, in the order of the values; `values` has one for each frame."""
    groups: dict[str, list[Frame]] = {}
    for frame, value in zip(candidate.frames, values, strict=True):
        groups.setdefault(value, []).append(frame)
    return [
        replace(
            candidate,
            frames=tuple(groups[each]),
            traits=(*candidate.traits, f"{word} {each or 'unknown'}"),
        )
        for each in sorted(groups, key=_as_number)
    ]


def _as_number(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value


def _title(keyword: str) -> str:
    """``"AcquisitionNumber"`` becomes ``"acquisition number"``."""
    return "".join(f" {each.lower()}" if each.isupper() else each for each in keyword).strip()


def _overlap(parts: Sequence[Candidate]) -> bool:
    """Whether two parts cover the same piece of the normal."""
    places = [offsets_mm((parts[0].frames[0], *part.frames))[1:] for part in parts]
    spans = sorted((float(each.min()), float(each.max())) for each in places)
    return any(later[0] <= earlier[1] + 1e-3 for earlier, later in pairwise(spans))


def _is_even_stack(part: Candidate) -> bool:
    return len(part.frames) > 1 and deviation(offsets_mm(part.frames)) <= EVEN
