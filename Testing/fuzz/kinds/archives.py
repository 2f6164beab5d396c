"""Zips of bundles: changed bytes, and entries with other names, sorts and sizes."""

import io
import json
import stat
import zipfile
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from fedcross.model.bundle import verify_bundle
from fedcross.model.manifest import Manifest
from fuzz.kind import Input, Kind
from fuzz.kinds.bundles import METADATA, NAME, SECTION, check_manifest, files
from fuzz.mutate import Draw, change, change_json, composite, dump_json

FILE = "bundle.zip"
_NAMES = (
    *(
        "../outside",
        "/outside",
        "a/../../outside",
        "C:outside",
        "\\outside",
        "//outside",
        ".",
        "...",
    ),
    *(f"{NAME}/{METADATA}", f"{NAME}/{METADATA}".upper(), METADATA, f"other/{METADATA}"),
    *(f"{NAME}/models/member_0.safetensors/x", f"{NAME}/", "a" * 300, "a/" * 990 + "x"),
    *("\u202eexe.nib", "na\ud7ffme", "con", " ", "x\ny", f"{NAME}/models/more", "-rf"),
)
_KINDS = (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO, 0)


def _zip(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return file.getvalue()


def _entry(
    name: str, kind: int = stat.S_IFREG, method: int = zipfile.ZIP_DEFLATED
) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (kind | 0o644) << 16
    entry.compress_type = method
    return entry


def _sound() -> list[tuple[zipfile.ZipInfo, bytes]]:
    return [(_entry(f"{NAME}/{name}"), data) for name, data in files().items()]


@cache
def _sound_zip() -> bytes:
    return _zip(_sound())


def _changed(draw: Draw) -> Input:
    kind = draw(
        st.sampled_from(("bytes", "end", "entry", "entry", "bomb", "many", "json", "flags"))
    )
    entries, data = _sound(), b""
    if kind == "bytes":
        data = change(draw, _sound_zip())
    elif kind == "end":
        data = change(draw, _sound_zip(), start=len(_sound_zip()) - 300)
    elif kind == "flags":
        data = _with_flags(draw, _sound_zip())
    elif kind == "entry":
        method = draw(
            st.sampled_from((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2))
        )
        entry = _entry(draw(st.sampled_from(_NAMES)), draw(st.sampled_from(_KINDS)), method)
        content = draw(st.sampled_from((b"x", b"/etc/passwd", files()[METADATA])))
        entries.insert(draw(st.integers(0, len(entries))), (entry, content))
    elif kind == "bomb":
        entries.append((_entry(f"{NAME}/zeros"), bytes(draw(st.sampled_from((10**6, 10**7))))))
    elif kind == "many":
        count = draw(st.sampled_from((100, 999, 1001, 5000)))
        entries += [
            (_entry(f"{NAME}/models/{n}", 0, zipfile.ZIP_STORED), b"") for n in range(count)
        ]
    else:
        content = json.loads(files()[METADATA])
        content[SECTION] = change_json(draw, content[SECTION])
        entries[0] = (entries[0][0], dump_json(draw, content))
    return Input({FILE: data or _quietly_zip(entries)}, FILE)


def _quietly_zip(entries: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zipfile, about an entry of the same name
        return _zip(entries)


def _with_flags(draw: Draw, data: bytes) -> bytes:
    """Change a field of a header in the table of contents: flags, method, sizes, attributes, offset."""
    at = data.rindex(b"PK\1\2")
    place, size = draw(
        st.sampled_from(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (38, 4), (42, 4)))
    )
    value = draw(st.integers(0, 2 ** (8 * size) - 1))
    return data[: at + place] + value.to_bytes(size, "little") + data[at + place + size :]


def _verify(manifest: Manifest, one: Input, path: Path) -> None:
    data = one.files[FILE]
    assert isinstance(data, bytes)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.endswith(METADATA)]
        check_manifest(manifest, archive.read(min(names, key=len)))


KINDS = (
    Kind(
        "bundle zip",
        lambda: [Input({FILE: _sound_zip()}, FILE)],
        composite(_changed),
        verify_bundle,
        _verify,
    ),
)
