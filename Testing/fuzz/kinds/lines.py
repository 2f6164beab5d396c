"""What goes between Slicer and its child processes: events of the child, requests to it."""

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fedcross.contract.dicom import REQUEST, DicomRequest
from fedcross.contract.events import (
    ErrorEvent,
    Event,
    LogEvent,
    ProgressEvent,
    ResultEvent,
    StageEvent,
    WarningEvent,
    event_line,
    read_event,
)
from fedcross.contract.request import SegmentRequest, parse_request
from fedcross.errors import DataError
from fedcross.infer import save_dicom
from fedcross.infer.child.worker import read_request
from fedcross.infer.results.dicom.description import EnsembleDescription
from fuzz.kind import Input, Kind
from fuzz.mutate import VALUES, Draw, change, change_json, composite, dump_json

FILE = "line"
EVENTS: tuple[Event, ...] = (
    StageEvent("read", "Reading the volume"),
    ProgressEvent(12, 96, "ensemble"),
    LogEvent("Wrote all."),
    WarningEvent("The image has one slice."),
    ResultEvent({"segmentation": "segmentation.seg.nrrd"}, "summary.json"),
    ErrorEvent("DataError", "The file is empty.", "Copy it again."),
)
WORDS = (
    *("--bundle", "B", "--image", "I", "--out", "D", "--measure", "std", "--device", "cpu"),
    *("--precision", "fp32", "--backend", "torch", "--roi", "roi.json", "--series", "1"),
    *("--max-memory-gb", "2.5", "--max-hours", "0.5", "--localise", "--for-viewer"),
)
_OTHER_WORDS = (
    *("--help", "--worker", "--events", "-h", "--", "--image", "--series", "nan", "inf", "-1", "0"),
    *("1e999", "\0", "a\nb", "\ud800", "--bundle=", "@/etc/passwd", "--max-hours=nan", "--im", ""),
    *(str(value) for value in VALUES if isinstance(value, str | int | float)),
)
DESCRIPTION = {
    **{"name": "Prostate", "sha256": "ab" * 32, "created": "2026-01-31", "version": "0.1.0"},
    **{"members": 4, "structures": [{"name": "Prostate", "label": 1}]},
}
DICOM = {"measure": "std", "out": "out", "files": ["1.dcm", "2.dcm"]}


def _input(data: bytes) -> Input:
    return Input({FILE: data}, FILE)


def _changed_event(draw: Draw) -> Input:
    line = event_line(draw(st.sampled_from(EVENTS)))
    if draw(st.booleans()):
        return _input(change(draw, line.encode()))
    return _input(dump_json(draw, change_json(draw, json.loads(line))))


def _read_event(path: Path) -> Event:
    """Read a line as Slicer does; what is no event becomes a line of the log there."""
    event = read_event(path.read_bytes().decode("utf-8", errors="replace"))
    if event is None:
        raise DataError("The line is no event.")
    return event


def _verify_event(event: Event, one: Input, path: Path) -> None:
    assert read_event(event_line(event)) == event
    stated = json.loads(path.read_bytes().decode("utf-8", errors="replace"))
    assert all(stated[name] == value for name, value in vars(event).items())


def _changed_request(draw: Draw) -> Input:
    words: list[Any] = list(WORDS)
    kind = draw(st.sampled_from(("words", "words", "words", "json", "bytes")))
    if kind == "bytes":
        return _input(change(draw, json.dumps(words).encode()))
    if kind == "json":
        return _input(dump_json(draw, change_json(draw, words)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(words) - 1))
        word = draw(st.sampled_from(_OTHER_WORDS) | st.text(max_size=8))
        words[place : place + draw(st.integers(0, 1))] = [word]
    return _input(json.dumps(words).encode())


def _verify_request(request: SegmentRequest, one: Input, path: Path) -> None:
    assert parse_request(request.words()) == request
    assert request.max_hours >= 0
    assert request.max_memory_gb is None or request.max_memory_gb >= 0
    for name in (request.bundle, request.out, *request.images):
        assert b"\0" not in os.fsencode(name)


def _dicom_input(request: Any, description: Any) -> Input:
    record = {**request, "description": description} if isinstance(request, dict) else request
    return Input({REQUEST: json.dumps(record).encode()}, ".")


def _changed_dicom_request(draw: Draw) -> Input:
    if draw(st.booleans()):
        return _dicom_input(
            DICOM, dump_json(draw, change_json(draw, DESCRIPTION)).decode("utf-8", "replace")
        )
    return _dicom_input(change_json(draw, DICOM), json.dumps(DESCRIPTION))


def _verify_dicom_request(
    found: tuple[DicomRequest, EnsembleDescription], one: Input, path: Path
) -> None:
    request, ensemble = found
    for name in (request.out, *request.files):
        assert "\0" not in str(name)
    assert EnsembleDescription.model_validate_json(ensemble.model_dump_json()) == ensemble
    assert ensemble.members > 0
    assert len(ensemble.sha256) == 64


KINDS = (
    Kind(
        "event line",
        lambda: [_input(event_line(event).encode()) for event in EVENTS],
        composite(_changed_event),
        _read_event,
        _verify_event,
    ),
    Kind(
        "request line",
        lambda: [_input(json.dumps(WORDS).encode())],
        composite(_changed_request),
        lambda path: read_request(path.read_bytes()),
        _verify_request,
    ),
    Kind(
        "DICOM request",
        lambda: [_dicom_input(DICOM, json.dumps(DESCRIPTION))],
        composite(_changed_dicom_request),
        save_dicom.read_request,
        _verify_dicom_request,
    ),
)
