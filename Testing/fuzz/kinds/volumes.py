"""NIfTI, Analyze, NRRD and MetaImage files.

Not every change can be noticed: data without checksum has no trace of a flipped bit, and a header may
come to declare another valid volume of the same length. So bytes of voxels are changed only where they
are compressed, and a volume counts as right if the bytes of its voxels are, whatever size the header
gives them.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from hypothesis import strategies as st

import volume_files
from fedcross.volumes.files.read import read_volume
from fuzz.kind import Input, Kind
from fuzz.mutate import Draw, change, composite

RIGHT = volume_files.raw()
_STORED_PLAINLY = ("a.nii", "two.nii", "a.nrrd", "hex.nrrd", "text.nrrd", "a.mha", "text.mha")
# Fields that give the same bytes another meaning, which no other field contradicts: byte order,
# signedness, scale.
_CHANGED_MEANING = (b"short", b"SHORT", b"endian", b"MSB", b"Order")
_NIFTI_MEANING = {
    "two.nii": ((12, 16), (176, 192), (0, 4)),
    **dict.fromkeys(("a.nii", "pair.hdr", "analyze.hdr"), ((70, 74), (112, 120), (0, 4))),
}
"""Byte ranges of type, scale and byte order in the header."""
FORMATS = {
    "NIfTI": ("a.nii", "a.nii.gz", "two.nii", "pair.hdr"),
    "Analyze": ("analyze.hdr",),
    "NRRD": ("a.nrrd", "gz.nrrd", "bz.nrrd", "hex.nrrd", "text.nrrd", "detached.nhdr"),
    "MetaImage": ("a.mha", "z.mha", "text.mha", "beside.mhd"),
}


def original(name: str) -> bytes:
    """Return the unchanged content of a file."""
    if name == "analyze.hdr":
        return volume_files.contents()["pair.hdr"][:344] + bytes(4)
    return volume_files.contents()[name]


def make_input(name: str, data: bytes) -> Input:
    """Return a changed file with the whole file of voxels that belongs to it."""
    files: dict[str, bytes | str | None] = {name: data}
    partner = {**volume_files.PARTNERS, "analyze.hdr": "analyze.img"}.get(name)
    if partner:
        files[partner] = RIGHT
    return Input(files, name)


def _changed(names: tuple[str, ...]) -> st.SearchStrategy[Input]:
    def drawn(draw: Draw) -> Input:
        name = draw(st.sampled_from(names))
        data = original(name)
        voxels = volume_files.voxels_in(name) if name in _STORED_PLAINLY else b""
        return make_input(name, change(draw, data[: len(data) - len(voxels)]) + voxels)

    return composite(drawn)


def verify(image: sitk.Image, one: Input, path: Path) -> None:
    """Check the geometry, that all voxels are finite, and that they are the right ones."""
    check_geometry(image)
    voxels = sitk.GetArrayFromImage(image)
    assert np.isfinite(voxels).all()
    changed = one.files[one.main]
    assert isinstance(changed, bytes)
    assert volume_files.raw(voxels) == RIGHT or _has_another_meaning(one.main, changed)


def check_geometry(image: sitk.Image) -> None:
    """Check that spacing, origin and direction describe a grid with axes at right angles."""
    assert np.isfinite(image.GetOrigin()).all()
    assert np.isfinite(image.GetSpacing()).all()
    assert min(image.GetSpacing()) > 0
    turn = np.reshape(image.GetDirection(), (3, 3))
    assert np.allclose(turn.T @ turn, np.eye(3), atol=1e-3)


def _has_another_meaning(name: str, data: bytes) -> bool:
    """Whether the header declares other numbers of the same length."""
    before = original(name)
    if name in _NIFTI_MEANING:
        return any(data[a:b] != before[a:b] for a, b in _NIFTI_MEANING[name])
    lines = [line for line in before.splitlines() if any(w in line for w in _CHANGED_MEANING)]
    return any(line not in data for line in lines)


def _kind(title: str, names: tuple[str, ...]) -> Kind:
    return Kind(
        title,
        lambda: [make_input(name, original(name)) for name in names],
        _changed(names),
        read_volume,
        verify,
    )


KINDS = tuple(_kind(title, names) for title, names in FORMATS.items())
