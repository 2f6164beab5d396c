"""Lists of cases in CSV and JSON: as spreadsheets of several countries save them, and changed."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fedcross.training.data.sources.lists import ListedCase, read_list
from fedcross.training.data.splits import PARTS
from fuzz.kind import Input, Kind
from fuzz.mutate import Draw, change, change_json, composite, dump_json

CSV, JSON = "list.csv", "list.json"
COLUMNS = ("image", "label", "name", "patient", "split")
Row = dict[str, str]
_WORD = st.text("abcxyzäöüé059_-", min_size=1, max_size=8)
_SEPARATORS = (",", ";", "\t")
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


def _rows(draw: Draw) -> list[Row]:
    names = draw(st.lists(_WORD, min_size=1, max_size=5, unique=True))
    return [
        {
            "image": f"images/{name}.nii.gz",
            "label": f"labels/{name}.nii.gz",
            "name": name,
            "patient": draw(_WORD),
            "split": draw(st.sampled_from(("", *PARTS))),
        }
        for name in names
    ]


def _csv_bytes(rows: list[Row], separator: str, encoding: str, end: str, declared: bool) -> bytes:
    text = io.StringIO(newline="")
    if declared:
        text.write(f"sep={separator}{end}")
    writer = csv.DictWriter(text, COLUMNS, delimiter=separator, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def _drawn_csv(draw: Draw) -> Input:
    rows = _rows(draw)
    separator, encoding = draw(st.sampled_from(_SEPARATORS)), draw(st.sampled_from(_ENCODINGS))
    end, declared = draw(st.sampled_from(("\n", "\r\n"))), draw(st.booleans())
    data = _csv_bytes(rows, separator, encoding, end, declared)
    if draw(st.integers(0, 3)) == 0:
        return Input({CSV: data}, CSV, rows)
    return Input({CSV: change(draw, data)}, CSV)


def _drawn_json(draw: Draw) -> Input:
    rows = _rows(draw)
    content: Any = rows
    if draw(st.booleans()):
        content = {"training": rows, "description": "of use"}
    return Input({JSON: dump_json(draw, change_json(draw, content))}, JSON)


def _drawn(draw: Draw) -> Input:
    return _drawn_json(draw) if draw(st.integers(0, 2)) == 0 else _drawn_csv(draw)


def _valid() -> list[Input]:
    row = dict(zip(COLUMNS, ("a.nii", "b.nii", "a", "p", "test"), strict=True))
    data = _csv_bytes([row], ",", "utf-8", "\n", False)
    return [Input({CSV: data}, CSV, [row]), Input({JSON: json.dumps([row]).encode()}, JSON, [row])]


def _verify(cases: list[ListedCase], one: Input, path: Path) -> None:
    names = [case.name for case in cases]
    assert cases
    assert all(names)
    assert len(set(names)) == len(names)
    assert all(case.part in ("", *PARTS) for case in cases)
    if one.expected is not None:
        read = [
            {
                "image": case.image.relative_to(path.parent).as_posix(),
                "label": case.label.relative_to(path.parent).as_posix(),
                "name": case.name,
                "patient": case.patient,
                "split": case.part,
            }
            for case in cases
        ]
        assert read == one.expected


KINDS = (Kind("case list", _valid, composite(_drawn), read_list, _verify),)
