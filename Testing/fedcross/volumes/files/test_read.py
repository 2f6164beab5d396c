import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.files import checks
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.files.write import write_volume
from fedcross.volumes.grid import Grid


def write(array: np.ndarray, path: Path, *, vectors: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vectors), str(path), True)
    return path


def refusal(path: Path) -> str:
    """Return the message with which `path` is refused; it must not contain the parent folder."""
    with pytest.raises(DataError) as caught:
        read_volume(path)
    message = str(caught.value)
    assert str(path.parent) not in message
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_voxels_and_geometry_are_read_as_written(tmp_path, suffix, dtype):
    image = sitk.GetImageFromArray(np.arange(60, dtype=dtype).reshape(3, 4, 5))
    image.SetSpacing((0.5, 0.75, 2.5))
    image.SetOrigin((-10.25, 20.5, 30.0))
    image.SetDirection((0, 0.6, 0.8, 1, 0, 0, 0, 0.8, -0.6))
    if suffix == ".mhd":  # two files, which write_volume does not support
        sitk.WriteImage(image, str(tmp_path / "volume.mhd"))
    else:
        write_volume(image, tmp_path / f"volume{suffix}")
    read = read_volume(tmp_path / f"volume{suffix}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))
    for field in ("size", "spacing_mm", "origin_mm", "direction"):
        np.testing.assert_allclose(
            getattr(Grid.of(read), field), getattr(Grid.of(image), field), atol=1e-6
        )


def test_a_path_with_spaces_and_non_ascii_letters_is_read(tmp_path):
    folder = tmp_path / "Zoë 患者"
    folder.mkdir()
    path = write(np.ones((2, 3, 4), np.float32), folder / "é ü 図.nii.gz")
    assert read_volume(path).GetSize() == (4, 3, 2)


def test_a_volume_one_voxel_thick_is_read(tmp_path):
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        path = write(np.ones((1, 3, 4), np.float32), tmp_path / f"thin{suffix}")
        assert read_volume(path).GetSize() == (4, 3, 1)


def test_one_volume_stored_as_4d_is_read(tmp_path):
    path = write(np.arange(24.0).reshape(1, 2, 3, 4), tmp_path / "one.nrrd")
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(read_volume(path)), np.arange(24.0).reshape(2, 3, 4)
    )


def test_a_missing_file_is_refused(tmp_path):
    assert (
        refusal(tmp_path / "missing.nii.gz") == "There is no file or folder named missing.nii.gz."
    )


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.nii.gz").touch()
    assert "empty.nii.gz is empty" in refusal(tmp_path / "empty.nii.gz")


@pytest.mark.parametrize("name", ["notes.nii.gz", "notes.nii", "notes.nrrd", "notes.mha", "a.txt"])
def test_a_text_file_is_refused_whatever_its_suffix(tmp_path, name):
    (tmp_path / name).write_text("not an image\n" * 100)
    assert "is not an image that can be read" in refusal(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_2d_image_is_refused(tmp_path, suffix):
    path = write(np.ones((3, 4), np.uint8), tmp_path / f"flat{suffix}")
    assert "is a 2D image" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_4d_image_is_refused_with_its_number_of_volumes(tmp_path, suffix):
    path = write(np.ones((7, 2, 3, 4), np.float32), tmp_path / f"cine{suffix}")
    assert "is a 4D image of 7 volumes" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_colour_image_is_refused(tmp_path, suffix):
    path = write(np.ones((2, 3, 4, 3), np.uint8), tmp_path / f"colour{suffix}", vectors=True)
    assert "has 3 values in every voxel" in refusal(path)


def test_complex_voxels_are_refused(tmp_path):
    path = write(np.ones((2, 3, 4), np.complex64), tmp_path / "kspace.nii.gz")
    assert "values in every voxel" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinite_voxels_are_refused(tmp_path, suffix, dtype, bad):
    array = np.ones((2, 3, 4), dtype)
    array[1, 2, 3] = array[0, 0, 0] = bad
    path = write(array, tmp_path / f"holes{suffix}")
    assert "has 2 voxels that are not finite numbers" in refusal(path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, suffix, capfd):
    noise = np.random.default_rng(0).random((10, 20, 30), np.float32)
    path = write(noise, tmp_path / f"short{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "short" in refusal(path)


def test_a_file_cut_short_before_compression_is_refused(tmp_path):
    path = write(np.random.default_rng(0).random((10, 20, 30)), tmp_path / "whole.nii")
    short = tmp_path / "short.nii.gz"
    short.write_bytes(gzip.compress(path.read_bytes()[:20_000]))
    assert "damaged or cut short" in refusal(short)


def test_too_many_voxels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_VOXELS", 1000)
    path = write(np.ones((10, 10, 11), np.uint8), tmp_path / "huge.nrrd")
    assert "has 11 x 10 x 10 voxels, more than the 1000 that are accepted" in refusal(path)


def test_a_header_that_declares_terabytes_is_refused(tmp_path):
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 60000 60000 60000\nencoding: raw\n\nx"
    (tmp_path / "bomb.nrrd").write_text(header)
    assert "60000 x 60000 x 60000 voxels" in refusal(tmp_path / "bomb.nrrd")


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_axes_that_are_not_at_right_angles_are_refused(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.ones((3, 4, 5), np.int16))
    for angle_deg, refused in ((15, True), (0.3, False)):
        c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        image.SetDirection((1, 0, 0, 0, 1, s, 0, 0, c))
        path = tmp_path / f"sheared{suffix}"
        sitk.WriteImage(image, str(path))
        if refused:
            assert "are not at right angles (cosine 0.259)" in refusal(path)
        else:
            assert read_volume(path).GetDirection() == pytest.approx(image.GetDirection(), abs=1e-5)


def test_a_file_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read: File name too long"):
        read_volume(tmp_path / ("x" * 300))


@pytest.mark.parametrize("place", [1e15, 1e20])
def test_a_voxel_offset_beyond_any_file_is_refused(tmp_path, place):
    path = write(np.ones((2, 3, 4), np.int16), tmp_path / "far.nii")
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, 108, place)
    path.write_bytes(bytes(data))
    refusal(path)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    assert "The folder folder holds no DICOM series" in refusal(tmp_path / "folder")


def test_the_message_names_the_folder_if_the_path_is_a_dot(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match="The folder here holds no DICOM series"):
        read_volume(Path())
