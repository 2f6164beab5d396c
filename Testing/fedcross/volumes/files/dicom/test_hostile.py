"""Damaged and hostile files: one sentence, or the right voxels at the right place."""

import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from dicom_files import ORIGIN_MM, SPACING_MM, item, make_volume, write_enhanced, write_series
from fedcross.contract.plain_text import plain_text
from fedcross.errors import DataError
from fedcross.volumes.files.dicom import header
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.files.read import read_volume

GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
PIXELS = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "RescaleSlope",
    "RescaleIntercept",
    "PixelPaddingValue",
)
IDENTITY = ("SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID", "EchoTime")
VALUES = [b"", b" ", b"0", b"-1", b"1", b"2", b"65535", b"1e300", b"5e-324", b"nan", b"inf", b"abc"]
VALUES += [
    b"0\\0",
    b"1\\2\\3",
    b"1\\0\\0\\0\\1\\0",
    b"MONOCHROME1",
    b"1.2.3",
    b"\xff\xfe\x00",
    b"9" * 70,
]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_volume(path)
    message = str(caught.value)
    assert message == plain_text(message, 2000)
    assert len(message) < 700
    return message


def try_to_read(path: Path) -> sitk.Image | None:
    """The image, or None if it is refused with a sentence."""
    try:
        return read_volume(path)
    except DataError as error:
        message = str(error)
    assert message == plain_text(message, 2000)
    assert len(message) < 700
    return None


def is_right(image: sitk.Image) -> bool:
    """Whether an image holds the voxels of `make_volume` at their place."""
    return (
        np.array_equal(sitk.GetArrayFromImage(image), make_volume())
        and np.allclose(image.GetSpacing(), SPACING_MM)
        and np.allclose(image.GetOrigin(), ORIGIN_MM)
        and np.allclose(image.GetDirection(), np.eye(3).ravel())
    )


def set_raw(dataset: Dataset, keyword: str, value: bytes, vr: str) -> None:
    """Store bytes in an element, which pydicom writes without a check."""
    tag = pydicom.datadict.tag_for_keyword(keyword)
    assert tag is not None
    padded = value + b" " * (len(value) % 2)
    raw = pydicom.dataelem.RawDataElement(
        pydicom.tag.BaseTag(tag), vr, len(padded), padded, 0, False, True
    )
    dataset._dict[pydicom.tag.BaseTag(tag)] = raw


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keyword=st.sampled_from(GEOMETRY + PIXELS + IDENTITY),
    value=st.sampled_from(VALUES) | st.binary(max_size=12),
    vr=st.sampled_from(["DS", "IS", "US", "UI", "CS", "SQ", "UN", "OB", "FD", "UT", "ZZ"]),
    k=st.integers(0, 5),
)
def test_a_changed_value_in_one_slice_is_refused_or_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, keyword: str, value: bytes, vr: str, k: int
) -> None:
    folder = write_series(tmp_path_factory.mktemp("fuzz") / "s")
    path = folder / f"IM{k:03d}.dcm"
    dataset = pydicom.dcmread(path)
    set_raw(dataset, keyword, value, vr)
    with path.open("wb") as file:
        pydicom.dcmwrite(file, dataset)
    image = try_to_read(folder)
    # A rescale, or padding, is a value like any other. Other fields have only one right value.
    if image is not None and not keyword.startswith("Rescale") and not notes_of(image):
        assert is_right(image), (keyword, value, vr)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 20), kind=st.sampled_from(["E", "s"]))
def test_changed_bytes_of_a_header_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int, kind: str
) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    path = write_enhanced(root / "E.dcm") if kind == "E" else write_series(root / "s") / "IM002.dcm"
    content, draw = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(count):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    try_to_read(path if kind == "E" else path.parent)


def start_of_file() -> bytes:
    meta = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
    return (
        b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<L", len(meta)) + meta
    )


@pytest.mark.parametrize("depth", [50, 2000, 100_000])
def test_nested_sequences_end_in_a_sentence(tmp_path: Path, depth: int) -> None:
    nested = b"\x00\x52\x30\x92SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path = tmp_path / "deep.dcm"
    path.write_bytes(start_of_file() + nested * depth)
    assert "deep.dcm is damaged or cut short" in refusal(path)


@pytest.mark.parametrize("vr", [b"OW", b"UT", b"UN", b"SQ"])
@pytest.mark.parametrize("tag", [b"\x08\x00\x08\x00", b"\xe0\x7f\x10\x00", b"\x28\x00\x10\x00"])
def test_a_declared_length_is_not_allocated(tmp_path: Path, vr: bytes, tag: bytes) -> None:
    path = tmp_path / "long.dcm"
    path.write_bytes(
        start_of_file() + tag + vr + b"\0\0" + struct.pack("<L", 0xF0000000) + b"\0" * 64
    )
    tracemalloc.start()
    try:
        refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_millions_of_elements_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.dcm"
    path.write_bytes(start_of_file() + b"\x09\x00\x10\x00LO\x00\x00" * 1_000_000)
    assert "it has more than 20000 elements" in refusal(path)


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        dataset.save_as(path)
    assert is_right(read_volume(folder))
    monkeypatch.setattr(header, "MAX_INFLATED_BYTES", 100)
    assert "unreadable files (6); the first is IM000.dcm (it is too large" in refusal(folder)


def compress(folder: Path, compressor: str) -> None:
    for path in folder.iterdir():
        if compressor == "RLE":
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless, generate_instance_uid=False)
            dataset.save_as(path)
            continue
        reader, writer = sitk.ImageFileReader(), sitk.ImageFileWriter()
        reader.SetFileName(str(path))
        reader.LoadPrivateTagsOn()
        image = reader.Execute()
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetFileName(str(path))
        writer.Execute(image)


@pytest.mark.parametrize("compressor", ["RLE", "JPEG2000", "JPEG"])
def test_compressed_slices_are_decoded_and_cut_ones_are_named(
    tmp_path: Path, compressor: str
) -> None:
    volume = make_volume((6, 64, 64))  # JPEG 2000 needs some pixels
    folder = write_series(tmp_path / "s", volume)
    compress(folder, compressor)
    syntax = pydicom.dcmread(folder / "IM005.dcm").file_meta.TransferSyntaxUID
    assert syntax.is_encapsulated
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(folder)), volume)
    last = folder / "IM005.dcm"
    whole, content = pydicom.dcmread(last), last.read_bytes()
    for keep in (-8, -14, -40):
        last.write_bytes(content[:keep])
        assert "unreadable files (1); the first is IM005.dcm" in refusal(folder)
    frame = next(pydicom.encaps.generate_frames(whole.PixelData, number_of_frames=1))
    for data in (frame[: len(frame) // 2], b"\0" * 64, b"\xff\xd8\xff\xd9"):
        whole.PixelData = pydicom.encaps.encapsulate([data])
        whole.save_as(last)
        assert "unreadable files (1); the first is IM005.dcm" in refusal(folder)


def test_a_compression_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    def change(dataset: Any, _k: int) -> None:
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\xd9"])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless

    message = refusal(write_series(tmp_path / "s", change=change))
    assert "IM000.dcm is encoded as High-Throughput JPEG 2000" in message


def test_a_tiny_compressed_file_that_declares_a_huge_picture_is_not_allocated(
    tmp_path: Path,
) -> None:
    def change(dataset: Any, _k: int) -> None:
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.Rows = dataset.Columns = 30_000

    folder = write_series(tmp_path / "s", make_volume((1, 5, 4)), change)
    assert "it is too small for the voxels that it declares" in refusal(folder)


def test_items_of_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    def change(group: Any, _k: int) -> None:
        group.PlanePositionSequence = [item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]

    assert "no position for each of its 6 slices" in refusal(
        write_enhanced(tmp_path / "E.dcm", change=change)
    )
