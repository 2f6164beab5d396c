"""DICOM: a folder with one file a slice, and an enhanced multi-frame file.

Bytes before the pixels are changed, elements are removed, files are removed, doubled and cut. A volume
counts as right if its values are those that pydicom reads from the files, in any order.
"""

import io
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from hypothesis import strategies as st
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_modality_lut

import dicom_files
from fedcross.volumes.files.read import read_volume
from fuzz.kind import Input, Kind
from fuzz.kinds.volumes import check_geometry
from fuzz.mutate import Draw, change, composite

FOLDER, FILE = "series", "frames.dcm"
_PIXELS = (0x7FE0, 0x0010)


@cache
def _series() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = dicom_files.write_series(Path(temporary), dicom_files.make_volume((4, 5, 4)))
        return {f"{FOLDER}/{path.name}": path.read_bytes() for path in sorted(folder.iterdir())}


@cache
def _frames() -> bytes:
    with tempfile.TemporaryDirectory() as temporary:
        return dicom_files.write_enhanced(Path(temporary, FILE)).read_bytes()


def _changed_file(draw: Draw, data: bytes, pixels: int) -> bytes:
    """Change the bytes before the pixels, or remove an element; `pixels` is their number of bytes."""
    if draw(st.booleans()):
        head = data[: len(data) - pixels]
        return (
            change(draw, head, start=draw(st.sampled_from((132, 132, 300, 0)))) + data[len(head) :]
        )
    dataset = pydicom.dcmread(io.BytesIO(data))
    places = [dataset]
    places += [item for each in dataset if each.VR == "SQ" for item in each.value]
    chosen = draw(st.sampled_from(places))
    tags = list(chosen.keys())
    if tags:
        del chosen[draw(st.sampled_from(tags))]
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def _changed_series(draw: Draw) -> Input:
    files: dict[str, bytes | str | None] = dict(_series())
    name = draw(st.sampled_from(sorted(files)))
    kind = draw(st.sampled_from(("file",) * 6 + ("remove", "double", "cut", "all")))
    data = files[name]
    assert isinstance(data, bytes)
    if kind == "file":
        files[name] = _changed_file(draw, data, 40)
    elif kind == "remove":
        del files[name]
    elif kind == "double":
        files[f"{name}.dcm"] = data
    elif kind == "cut":
        files[name] = data[: draw(st.integers(0, len(data) - 1))]
    else:
        files = {each: _changed_file(draw, old, 40) for each, old in _series().items()}
    return Input(files, FOLDER)


def _changed_frames(draw: Draw) -> Input:
    return Input({FILE: _changed_file(draw, _frames(), 6 * 5 * 4 * 2)}, FILE)


def verify(image: sitk.Image, one: Input, path: Path) -> None:
    """Check the geometry, and the values against those of pydicom."""
    check_geometry(image)
    found = np.sort(sitk.GetArrayFromImage(image).astype(np.float64), axis=None)
    different = dict.fromkeys(one.files.values())  # the same file twice is one slice
    expected = np.sort(np.concatenate([_values(data) for data in different]))
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-5)


def _values(content: Any) -> np.ndarray:
    """Return all values of a file; none if it holds no image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about headers
        try:
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        except (InvalidDicomError, EOFError):
            return np.empty(0)
        return _dataset_values(dataset) if _PIXELS in dataset else np.empty(0)


def _dataset_values(dataset: pydicom.Dataset) -> np.ndarray:
    dataset.setdefault("SamplesPerPixel", 1)  # what MONOCHROME2 says already
    if not hasattr(dataset, "file_meta") or "TransferSyntaxUID" not in dataset.file_meta:
        dataset.ensure_file_meta()
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return np.asarray(apply_modality_lut(dataset.pixel_array, dataset), np.float64).ravel()


KINDS = (
    Kind(
        "DICOM series",
        lambda: [Input(dict(_series()), FOLDER)],
        composite(_changed_series),
        read_volume,
        verify,
    ),
    Kind(
        "DICOM file",
        lambda: [Input({FILE: _frames()}, FILE)],
        composite(_changed_frames),
        read_volume,
        verify,
    ),
)
