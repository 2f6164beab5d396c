"""What a folder holds: several series, subfolders, copies, objects without pixels, other files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from dicom_files import ORIGIN_MM, SERIES, make_dataset, make_volume, write_enhanced, write_series
from fedcross.errors import DataError
from fedcross.volumes.files.read import read_volume

PIXELS = ("Rows", "Columns", "PhotometricInterpretation", "PixelData")
OTHER = "1.2.826.0.1.3680043.10.1.8"


def refusal(path: Path, series: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_volume(path, series)
    message = str(caught.value)
    assert "Doe" not in message
    return message


def voxels(path: Path, series: str | None = None) -> Any:
    return sitk.GetArrayFromImage(read_volume(path, series))


def add_localizer(folder: Path) -> None:
    def change(dataset: Any, _k: int) -> None:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.PixelSpacing = [2, 2]

    write_series(folder, make_volume((1, 5, 4)), change, prefix="SC")


def test_a_localizer_in_the_series_is_named_and_left_out_by_choice(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "study")
    add_localizer(folder)
    message = refusal(folder)
    assert message == (
        "The folder study holds 2 volumes: "
        "1: MR, axial, 6 slices of 4 x 5, 0.75 x 0.5 x 2.5 mm, series 4; "
        "2: MR, sagittal, 1 slice of 4 x 5, 2 x 2 x 2.5 mm, series 4. "
        "Choose one with --series, for example --series 1, or give a folder with one volume."
    )
    np.testing.assert_array_equal(voxels(folder, "1"), make_volume())
    assert voxels(folder, "2").shape == (1, 5, 4)


def test_a_series_is_chosen_by_its_uid(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "study")
    write_series(folder, make_volume() + np.int16(1000), uid=OTHER, prefix="B")
    np.testing.assert_array_equal(voxels(folder, OTHER), make_volume() + 1000)
    np.testing.assert_array_equal(voxels(folder, SERIES), make_volume())
    assert "There is no series 1.2: The folder study holds 2 volumes" in refusal(folder, "1.2")
    add_localizer(folder)
    assert f"The folder study holds 2 volumes of series {SERIES}: 1: " in refusal(folder, SERIES)


def test_a_choice_among_one_is_accepted(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s")
    np.testing.assert_array_equal(voxels(folder, "1"), make_volume())
    for wrong in ("2", "0", "-1", "x", "", "9" * 400, "\u0661\u0662"):
        assert refusal(folder, wrong).startswith("There is no series ")


Numbered = Callable[[Any, int], object]


def number_acquisition(dataset: Any, part: int) -> None:
    dataset.AcquisitionNumber = part + 1


def number_time(dataset: Any, part: int) -> None:
    dataset.TemporalPositionIdentifier = part + 1


def number_echo(dataset: Any, part: int) -> None:
    dataset.EchoTime = (10, 90)[part]


def name_phase(dataset: Any, part: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "MP"[part]]


@pytest.mark.parametrize("shift_mm", [0.0, 0.4])
@pytest.mark.parametrize(
    ("number", "word"),
    [
        (number_acquisition, "acquisition number 2"),
        (number_time, "time point 2"),
        (number_echo, "echo time 90"),
        (name_phase, "type ORIGINAL\\PRIMARY\\P"),
    ],
)
def test_volumes_at_the_same_place_in_one_series_are_named(
    tmp_path: Path, number: Numbered, word: str, shift_mm: float
) -> None:
    for part in (0, 1):

        def change(dataset: Any, _k: int, part: int = part) -> None:
            number(dataset, part)
            dataset.SOPInstanceUID += f".{part}"
            dataset.ImagePositionPatient[2] += part * shift_mm

        volume = make_volume() + np.int16(1000 * part)
        write_series(tmp_path / "s", volume, change, prefix="AB"[part])
    message = refusal(tmp_path / "s")
    assert "The folder s holds 2 volumes: 1: MR, axial, 6 slices of 4 x 5" in message
    assert word in message
    np.testing.assert_array_equal(voxels(tmp_path / "s", "1"), make_volume())
    np.testing.assert_array_equal(voxels(tmp_path / "s", "2"), make_volume() + 1000)


def test_acquisitions_one_after_another_in_space_are_one_volume(tmp_path: Path) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.AcquisitionNumber = 1 + k // 3
        dataset.EchoTime = 10 + k // 3

    np.testing.assert_array_equal(
        voxels(write_series(tmp_path / "s", change=change)), make_volume()
    )


def test_a_copy_of_a_slice_is_left_out_but_not_another_slice_at_its_place(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s")
    shutil.copy(folder / "IM002.dcm", folder / "copy.dcm")
    np.testing.assert_array_equal(voxels(folder), make_volume())
    content = (folder / "copy.dcm").read_bytes()
    (folder / "copy.dcm").write_bytes(content[:-2] + b"\x01\x00")
    assert "several pictures of one place (such as IM002.dcm and copy.dcm)" in refusal(folder)


def test_a_series_in_subfolders_is_read_whole(tmp_path: Path) -> None:
    parts = write_series(tmp_path / "all")
    for k, path in enumerate(sorted(parts.iterdir())):
        place = tmp_path / "cd" / "DICOM" / f"S{k % 2}" / f"I{k}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    directory = make_dataset(make_volume(), "1.2.3", "1.2")
    for keyword in PIXELS:
        delattr(directory, keyword)
    del directory.SOPClassUID, directory.SeriesInstanceUID
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.save_as(tmp_path / "cd" / "DICOMDIR", enforce_file_format=True)
    (tmp_path / "cd" / "README").write_text("How to open this disc\n")
    for given in (tmp_path / "cd", tmp_path / "cd" / "DICOMDIR"):
        np.testing.assert_array_equal(voxels(given), make_volume())


def test_the_rest_of_a_series_in_a_subfolder_belongs_to_it_but_no_other_series(
    tmp_path: Path,
) -> None:
    folder = write_series(tmp_path / "s")
    (folder / "more").mkdir()
    for name in ("IM004.dcm", "IM005.dcm"):
        (folder / name).rename(folder / "more" / name)
    write_series(folder / "other", uid=OTHER)
    np.testing.assert_array_equal(voxels(folder), make_volume())


def test_two_series_in_subfolders_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "study" / "a")
    write_series(tmp_path / "study" / "b", uid=OTHER)
    assert "The folder study holds 2 volumes" in refusal(tmp_path / "study")
    assert voxels(tmp_path / "study", OTHER).shape == (6, 5, 4)


def write_object(path: Path, sop_class: str, *, pixels: bool = False) -> None:
    dataset = make_dataset(make_volume((1, 5, 4))[0], "1.2.3.4", "1.2.3")
    dataset.SOPClassUID = sop_class
    if not pixels:
        for keyword in PIXELS:
            delattr(dataset, keyword)
    dataset.save_as(path, enforce_file_format=True)


def test_objects_that_are_no_image_are_named_or_left_out(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s")
    write_object(folder / "rt.dcm", "1.2.840.10008.5.1.4.1.1.481.3")
    write_object(folder / "sr.dcm", "1.2.840.10008.5.1.4.1.1.88.33")
    write_object(folder / "seg.dcm", "1.2.840.10008.5.1.4.1.1.66.4", pixels=True)
    write_object(folder / "pdf.dcm", "1.2.840.10008.5.1.4.1.1.104.1")
    write_object(folder / "shot.dcm", "1.2.840.10008.5.1.4.1.1.7", pixels=True)
    np.testing.assert_array_equal(voxels(folder), make_volume())
    for path in folder.glob("IM*"):
        path.unlink()
    assert (
        "The folder s holds no DICOM images but Encapsulated PDF and RT Structure Set and Segmentation "
        "and screenshots and Comprehensive SR." in refusal(folder)
    )
    assert refusal(folder / "seg.dcm").startswith("seg.dcm holds no DICOM images but Segmentation.")


@pytest.mark.parametrize(
    ("keyword", "value", "why"),
    [
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.66.4", "it is no image, but Segmentation"),
        ("SamplesPerPixel", 3, "it is no image, but colour pictures"),
    ],
)
def test_an_object_in_the_series_that_is_no_image_counts_as_a_damaged_slice(
    tmp_path: Path, keyword: str, value: object, why: str
) -> None:
    def change(dataset: Any, k: int) -> None:
        if k == 5:
            setattr(dataset, keyword, value)

    message = refusal(write_series(tmp_path / "s", change=change))
    assert f"unreadable files (1); the first is IM005.dcm ({why})." in message


def test_other_files_beside_the_slices_do_not_matter(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", suffix="")
    (folder / "LICENSE").write_text("CC BY\n")
    (folder / "notes.json").write_text("{}")
    (folder / "preview.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._IM000").write_bytes(b"\0\5\x16\7")
    np.testing.assert_array_equal(voxels(folder), make_volume())
    (folder / "IM006").write_bytes(b"\0" * 300)
    assert "unreadable files (1); the first is IM006." in refusal(folder)


@pytest.mark.parametrize("name", ["text.dcm", "DICOMDIR", "x.IMA"])
def test_a_file_that_is_only_called_dicom_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no DICOM")
    assert f"{name} is not an image that can be read" in refusal(tmp_path / name)


def test_a_folder_without_dicom_holds_no_series(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.nii.gz").write_bytes(b"x")
    assert "The folder empty holds no DICOM series." in refusal(tmp_path / "empty")


def test_folders_that_link_in_a_circle_end(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s" / "a").parent
    (folder / "a" / "up").symlink_to(folder)
    np.testing.assert_array_equal(voxels(folder), make_volume())


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedcross.volumes.files.dicom.folder.MAX_FILES", 5)
    assert "The folder s holds more than 5 files" in refusal(write_series(tmp_path / "s"))


def test_many_volumes_are_listed_up_to_a_limit(tmp_path: Path) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.PixelSpacing = [1, 1 + k / 10]

    folder = write_series(tmp_path / "s", make_volume((25, 5, 4)), change)
    message = refusal(folder)
    assert "holds 25 volumes: 1: MR" in message
    assert "; 20: MR" in message
    assert "; 21: MR" not in message
    assert message.endswith("and 5 more. Choose one with --series, for example --series 1, or give a "
                            "folder with one volume.")  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # pydicom warns of such values when it writes them
def test_text_of_the_header_cannot_steer_the_terminal(tmp_path: Path) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.Modality = "M\x1b[2J" + "R" * 200 + str(k % 2)

    message = refusal(write_series(tmp_path / "s\u202e", change=change))
    assert message.isprintable()
    assert len(message) < 500


def test_an_enhanced_file_and_a_classic_series_are_two_volumes(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", uid=OTHER)
    write_enhanced(folder / "E.dcm")
    assert "The folder s holds 2 volumes" in refusal(folder)
    assert read_volume(folder, "1").GetOrigin() == pytest.approx(ORIGIN_MM)


def test_a_series_is_chosen_of_dicom_only(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(make_volume()), str(tmp_path / "v.nrrd"))
    assert "v.nrrd is no DICOM" in refusal(tmp_path / "v.nrrd", "1")
