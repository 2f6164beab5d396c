"""Changed files of every format: refused with one sentence, or read with the right voxels.

`FEDCROSS_FUZZ` is the number of changed files; the default is small. Not every change can be noticed:
data without checksum has no trace of a flipped bit, and a header may come to declare another valid
volume of the same length. So bytes of voxels are changed only where they are compressed, and a volume
counts as right if the bytes of its voxels are, whatever size the header gives them.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import volume_files
from fedcross.errors import DataError
from fedcross.volumes.files.read import read_volume

EXAMPLES = int(os.environ.get("FEDCROSS_FUZZ", "150"))
FILES = (
    "a.nii",
    "a.nii.gz",
    "two.nii",
    "pair.hdr",
    "a.nrrd",
    "gz.nrrd",
    "bz.nrrd",
    "hex.nrrd",
    "text.nrrd",
    "detached.nhdr",
    "a.mha",
    "z.mha",
    "text.mha",
    "beside.mhd",
)
STORED_PLAINLY = ("a.nii", "two.nii", "a.nrrd", "hex.nrrd", "text.nrrd", "a.mha", "text.mha")
RIGHT = volume_files.raw()
# Fields that give the same bytes another meaning, which no other field contradicts: byte order,
# signedness, scale.
CHANGED_MEANING = (b"short", b"SHORT", b"endian", b"MSB", b"Order")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    volume_files.write_all(made)
    return made


def change(data: bytes, draw: st.DrawFn) -> bytes:
    """Change one to three places: a bit, a byte, some bytes away, or some inserted."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(changed) - 1))
        kind = draw(st.sampled_from(("bit", "byte", "remove", "insert", "number")))
        if kind == "bit":
            changed[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte":
            changed[place] = draw(st.integers(0, 255))
        elif kind == "remove":
            del changed[place : place + draw(st.integers(1, 9))]
        elif kind == "insert":
            changed[place:place] = draw(st.binary(min_size=1, max_size=9))
        else:
            value = draw(
                st.sampled_from((b"nan", b"1e999", b"-1", b"0", b"99999999999", b"\xff" * 4))
            )
            changed[place : place + len(value)] = value
    return bytes(changed)


@st.composite
def changed_files(draw: st.DrawFn) -> tuple[str, bytes]:
    name = draw(st.sampled_from(FILES))
    data = volume_files.contents()[name]
    voxels = volume_files.voxels_in(name) if name in STORED_PLAINLY else b""
    return name, change(data[: len(data) - len(voxels)], draw) + voxels


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=changed_files())
def test_a_changed_file_is_refused_or_has_the_right_voxels(folder, changed) -> None:
    name, data = changed
    (folder / f"changed-{name}").write_bytes(data)
    for other in ("pair.img", "detached.raw", "beside.raw"):
        stem = "changed-pair.img" if other == "pair.img" else other
        (folder / stem).write_bytes(RIGHT)
    began = time.process_time()
    outcome = read_or_sentence(folder / f"changed-{name}")
    assert time.process_time() - began < 1
    if isinstance(outcome, str):
        assert "\n" not in outcome
        assert len(outcome) < 400
        assert str(folder) not in outcome
    else:
        assert np.isfinite(outcome).all()
        assert meaning_changed(name, data) or volume_files.raw(outcome) == RIGHT


def read_or_sentence(path: Path) -> NDArray[Any] | str:
    try:
        return sitk.GetArrayFromImage(read_volume(path))
    except DataError as error:
        return str(error)


def meaning_changed(name: str, data: bytes) -> bool:
    """Whether the header declares other numbers of the same length."""
    original = volume_files.contents()[name]
    if name in ("a.nii", "two.nii", "pair.hdr"):
        fields = (
            ((70, 74), (112, 120), (0, 4)) if name != "two.nii" else ((12, 16), (176, 192), (0, 4))
        )
        return any(data[a:b] != original[a:b] for a, b in fields)
    lines = [line for line in original.splitlines() if any(w in line for w in CHANGED_MEANING)]
    return any(line not in data for line in lines)
