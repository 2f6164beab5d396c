from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.errors import DataError
from fedcross.volumes.files.read import read_volume


def write_series(
    folder: Path,
    uid: str = "1.2.3.4",
    *,
    slices: int = 6,
    without: int = -1,
    step_mm: tuple[float, float, float] = (0, 0, 2.5),
) -> Path:
    """Write a small DICOM series whose slice k holds the values 100 k + row."""
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(slices):
        if k == without:
            continue
        rows = np.repeat(np.arange(5, dtype=np.int16)[None, :, None], 4, axis=2)
        image = sitk.GetImageFromArray(100 * k + rows)
        image.SetSpacing((0.75, 0.5, 2.5))
        for tag, value in {
            "0008|0060": "MR",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0008|0018": f"{uid}.{k}",
            "0020|0032": "\\".join(
                str(n + k * mm) for n, mm in zip((1, 2, 3), step_mm, strict=True)
            ),
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0020|0013": str(slices - k),
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid}-{k}.dcm"))
        writer.Execute(image)
    return folder


def refusal(path: Path) -> str:
    """Return the message with which `path` is refused; it must not contain the parent folder."""
    with pytest.raises(DataError) as caught:
        read_volume(path)
    message = str(caught.value)
    assert str(path.parent) not in message
    assert path.name in message
    assert "\n" not in message
    return message


def test_the_slices_of_a_dicom_series_are_ordered_by_position(tmp_path):
    image = read_volume(write_series(tmp_path / "Zoë series"))
    assert image.GetSize() == (4, 5, 6)
    assert image.GetSpacing() == pytest.approx((0.75, 0.5, 2.5))
    assert image.GetOrigin() == pytest.approx((1, 2, 3))
    assert sitk.GetArrayFromImage(image)[:, 4, 0].tolist() == [4, 104, 204, 304, 404, 504]


def test_a_series_of_one_slice_is_read_as_a_volume(tmp_path):
    assert read_volume(write_series(tmp_path / "scout", slices=1)).GetSize() == (4, 5, 1)


def test_two_series_in_one_folder_are_refused(tmp_path):
    write_series(tmp_path / "study", "1.2.3.4")
    write_series(tmp_path / "study", "1.2.3.5")
    message = refusal(tmp_path / "study")
    assert "The folder study holds 2 volumes: 1: MR, axial, 6 slices of 4 x 5, " in message


def test_a_series_with_a_missing_slice_is_refused(tmp_path):
    write_series(tmp_path / "gap", without=2)
    assert "lie 2.5 to 5 mm apart: some are missing" in refusal(tmp_path / "gap")


def test_a_series_of_a_tilted_gantry_is_refused(tmp_path):
    write_series(tmp_path / "tilted", step_mm=(0, 0.5, 2.5))
    # After five steps the last slice is off by 2.5 mm along y.
    assert "the last one lies 2.5 mm aside" in refusal(tmp_path / "tilted")


def test_a_series_with_all_slices_at_one_position_is_refused(tmp_path):
    write_series(tmp_path / "cine", step_mm=(0, 0, 0))
    assert "several pictures of one place" in refusal(tmp_path / "cine")


def test_slices_displaced_by_rounding_are_accepted(tmp_path):
    assert read_volume(write_series(tmp_path / "s", step_mm=(0.02, 0, 2.5))).GetSize() == (4, 5, 6)
