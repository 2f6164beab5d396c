"""A series of single-frame files: the voxels of ITK's own reader, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from dicom_files import AXIAL, ORIGIN_MM, SPACING_MM, make_volume, nothing, write_series
from fedcross.errors import DataError
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.files.read import read_volume

OBLIQUE = (0.96, 0.28, 0.0, -0.224, 0.768, 0.6)
OBLIQUE_NORMAL = (0.168, -0.576, 0.8)


def voxels(path: Path, series: str | None = None) -> NDArray[Any]:
    return sitk.GetArrayFromImage(read_volume(path, series))


def refusal(path: Path, series: str | None = None) -> str:
    """The message with which a path is refused: one line, without names of folders or patients."""
    with pytest.raises(DataError) as caught:
        read_volume(path, series)
    message = str(caught.value)
    assert str(path.parent) not in message
    assert "Doe" not in message
    assert "\n" not in message
    return message


def read_by_itk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def set_all(**elements: Any) -> Callable[[Any, int], None]:
    """A change that sets these elements in every slice."""

    def change(dataset: Any, _k: int) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return change


def turn(dataset: Any, k: int) -> None:
    place = np.add(ORIGIN_MM, np.multiply(k * SPACING_MM[2], OBLIQUE_NORMAL))
    dataset.ImagePositionPatient = [round(each, 6) for each in place.tolist()]
    dataset.ImageOrientationPatient = list(OBLIQUE)


def store_12_bits(dataset: Any, _k: int) -> None:
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (nothing, np.int16),
        (turn, np.int16),
        (set_all(PixelRepresentation=0), np.uint16),
        (set_all(RescaleSlope=2, RescaleIntercept=-1000), np.int32),
        (set_all(RescaleSlope="0.25", RescaleIntercept="-3.5"), np.float64),
        (store_12_bits, np.int16),
        (set_all(PhotometricInterpretation="MONOCHROME1"), np.int16),
    ],
    ids=["axial", "oblique", "unsigned", "whole slope", "slope", "12 bits", "inverted"],
)
def test_an_ordinary_series_is_read_as_itk_reads_it(
    tmp_path: Path, change: Callable[[Any, int], None], kind: type[np.generic]
) -> None:
    folder = write_series(tmp_path / "s", change=change)
    read, expected = read_volume(folder), read_by_itk(folder)
    array, by_itk = sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(expected)
    assert array.dtype == by_itk.dtype == kind
    assert array.tobytes() == by_itk.tobytes()
    assert read.GetSize() == expected.GetSize()
    for field in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(read, field)() == pytest.approx(getattr(expected, field)(), abs=1e-12)


def test_a_slope_of_its_own_for_every_slice_is_applied_as_a_fraction(tmp_path: Path) -> None:
    slopes = [1, 0.5, 0.25, 0.75, 0.001, 2]

    def rescale(dataset: Any, k: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = slopes[k], k

    expected = make_volume() * np.reshape(slopes, (-1, 1, 1)) + np.arange(6).reshape(-1, 1, 1)
    np.testing.assert_allclose(
        voxels(write_series(tmp_path / "s", change=rescale)), expected, rtol=1e-15
    )


def test_whole_slopes_that_differ_give_whole_values(tmp_path: Path) -> None:
    def rescale(dataset: Any, k: int) -> None:
        dataset.RescaleSlope = 1 + k % 2

    array = voxels(write_series(tmp_path / "s", change=rescale))
    assert array.dtype == np.int32
    assert array[:, 4, 3].tolist() == [43, 2 * 143, 243, 2 * 343, 443, 2 * 543]


def test_a_slice_without_the_rescale_of_the_others_is_refused(tmp_path: Path) -> None:
    def change(dataset: Any, k: int) -> None:
        if k != 3:
            dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024

    sentence = refusal(write_series(tmp_path / "s", change=change))
    assert "1 of the 6 slices of s have no RescaleSlope" in sentence
    assert "IM003.dcm" in sentence


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_slices_of_two_patients_or_studies_in_one_series_are_two_volumes(
    tmp_path: Path, keyword: str
) -> None:
    """As after an anonymisation that gave every patient the same series."""

    def change(dataset: Any, k: int) -> None:
        setattr(dataset, keyword, "1.2.3" if k < 3 else "4.5.6")

    sentence = refusal(write_series(tmp_path / "s", change=change))
    assert "holds 2 volumes" in sentence
    assert "4.5.6" not in sentence


def test_a_slope_of_zero_is_refused(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", change=set_all(RescaleSlope=0))
    assert "IM000.dcm (its RescaleSlope is 0)" in refusal(folder)


def test_low_values_that_are_white_are_inverted_with_a_note(tmp_path: Path) -> None:
    volume = make_volume().astype(np.uint16)
    change = set_all(PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    image = read_volume(write_series(tmp_path / "s", volume, change))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), 4095 - volume)
    assert notes_of(image) == [
        "The volume stores white as low values (MONOCHROME1): its values were inverted."
    ]


def test_padding_gets_the_smallest_value_inside_the_image_with_a_note(tmp_path: Path) -> None:
    volume = make_volume() + np.int16(7)
    volume[:, 0, 0] = -2000
    change = set_all(PixelPaddingValue=-2000, RescaleIntercept=-1024, RescaleSlope=1)
    image = read_volume(write_series(tmp_path / "s", volume, change))
    array = sitk.GetArrayFromImage(image)
    assert (array[:, 0, 0] == 8 - 1024).all()  # 8 is the smallest value that is not padding
    np.testing.assert_array_equal(array[:, 1:], volume[:, 1:] - 1024)
    assert notes_of(image) == [
        "The volume has 6 voxels of padding (value -3024): they got the value -1016."
    ]


def test_padding_within_the_range_of_the_image_and_zero_stay(tmp_path: Path) -> None:
    volume = make_volume() + np.int16(7)
    volume[:, 0, 0] = 0
    for value in (0, 107):
        folder = write_series(tmp_path / str(value), volume, set_all(PixelPaddingValue=value))
        image = read_volume(folder)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume)
        assert notes_of(image) == []


def test_bits_above_the_stored_ones_are_no_part_of_the_value(tmp_path: Path) -> None:
    volume = make_volume().astype(np.uint16)
    folder = write_series(tmp_path / "s", volume | 0x8000, set_all(BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(voxels(folder), volume)


def test_slices_are_ordered_by_position_whatever_their_names_and_numbers(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", suffix="")
    for k, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"{(k * 5) % 7}-{path.name}")
    np.testing.assert_array_equal(voxels(folder), make_volume())


def jitter(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[2] += (0.12, -0.12)[k % 2]


def test_positions_off_by_a_twentieth_of_the_slice_distance_are_accepted(tmp_path: Path) -> None:
    image = read_volume(write_series(tmp_path / "s", change=jitter))
    # From 3.12 to 15.38 in five steps.
    assert image.GetSpacing()[2] == pytest.approx((15.38 - 3.12) / 5)


def shift_one(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[2] += 0.9 * (k == 3)


def alternate(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[2] -= 2.0 * (k % 2)


def tilt(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[1] += 0.5 * k


def move_one_aside(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[0] += 3.0 * (k == 2)


def repeat_place(dataset: Any, k: int) -> None:
    dataset.ImagePositionPatient[2] = ORIGIN_MM[2] + 2.5 * (k // 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shift_one, "lie 1.6 to 3.4 mm apart: they are not evenly stacked"),
        (alternate, "lie 0.5 to 4.5 mm apart: they are not evenly stacked"),
        (tilt, "not stacked straight: the last one lies 2.5 mm aside (a tilted gantry?)"),
        (move_one_aside, "not stacked straight: slice 3 lies 3 mm aside"),
        (
            repeat_place,
            "several pictures of one place (such as IM000.dcm and IM001.dcm), and nothing",
        ),
        (set_all(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]), "not at right angles"),
        (set_all(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "no unit vectors"),
        (set_all(PixelSpacing=[0.5, 0]), "impossible spacing of 0 x 0.5 x 2.5 mm"),
        (set_all(PixelSpacing=[0.5, 1e8]), "impossible spacing of 1e+08 x 0.5 x 2.5 mm"),
        (set_all(PixelSpacing=None), "has no pixel spacing for each of its 6 slices"),
        (set_all(ImagePositionPatient=None), "has no position for each of its 6 slices"),
        (set_all(ImageOrientationPatient=None), "has no orientation for each of its 6 slices"),
        (set_all(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]), "(a Siemens mosaic)"),
        (set_all(PhotometricInterpretation="PALETTE COLOR"), "has colours or a palette"),
        (set_all(BitsStored=12, HighBit=15), "in other bits than the lowest"),
        (set_all(BitsAllocated=12), "unreadable files (6)"),
        (set_all(PixelRepresentation=3), "its PixelRepresentation cannot be read"),
        (set_all(PixelRepresentation=None), "its PixelRepresentation is missing"),
        (set_all(BitsStored=None), "its BitsStored is missing"),
        (set_all(Rows=4), "it holds more pixels than it declares"),
        (set_all(Rows=6), "it is cut short"),
        (set_all(Rows=0), "it declares 1 frames of 4 x 0 pixels"),
    ],
)
def test_a_series_that_is_no_box_of_voxels_is_refused(
    tmp_path: Path, change: Callable[[Any, int], None], message: str
) -> None:
    assert message in refusal(write_series(tmp_path / "series", change=change))


def test_a_missing_slice_is_noticed(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "gap")
    (folder / "IM002.dcm").unlink()
    assert "lie 2.5 to 5 mm apart: some are missing" in refusal(folder)


@pytest.mark.parametrize("suffix", [".dcm", "", ".7"])
@pytest.mark.parametrize("keep", [0, 1, 150, 400, -40, -3])
def test_a_last_slice_that_is_empty_or_cut_is_named(tmp_path: Path, suffix: str, keep: int) -> None:
    folder = write_series(tmp_path / "s", suffix=suffix)
    last = folder / f"IM005{suffix}"
    last.write_bytes(last.read_bytes()[:keep])
    assert f"unreadable files (1); the first is IM005{suffix}" in refusal(folder)


def test_a_link_that_leads_nowhere_is_an_unreadable_slice(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s")
    (folder / "IM006.dcm").symlink_to(folder / "gone")
    assert "the first is IM006.dcm (No such file or directory)" in refusal(folder)


def test_a_single_slice_needs_its_thickness(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", make_volume((1, 5, 4)))
    assert read_volume(folder).GetSpacing() == pytest.approx(SPACING_MM)
    assert read_volume(folder / "IM000.dcm").GetSize() == (4, 5, 1)
    folder = write_series(tmp_path / "t", make_volume((1, 5, 4)), set_all(SliceThickness=None))
    assert "t has one slice and no slice thickness" in refusal(folder)


def test_rounded_cosines_are_made_a_rotation(tmp_path: Path) -> None:
    rounded = [round(each, 2) for each in OBLIQUE]

    def change(dataset: Any, k: int) -> None:
        turn(dataset, k)
        dataset.ImageOrientationPatient = rounded

    axes = np.reshape(
        read_volume(write_series(tmp_path / "s", change=change)).GetDirection(), (3, 3)
    )
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes[:, :2].T.ravel(), rounded, atol=0.01)


def test_the_axes_of_one_slice_may_not_differ(tmp_path: Path) -> None:
    def change(dataset: Any, k: int) -> None:
        if k == 3:
            dataset.PixelSpacing = [0.5, 0.8]
        if k == 4:
            dataset.ImageOrientationPatient = [-each for each in AXIAL]

    folder = write_series(tmp_path / "s", change=change)
    message = refusal(folder)
    assert "The folder s holds 3 volumes: 1: MR, axial, 4 slices of 4 x 5" in message
    assert "lie 2.5 to 7.5 mm apart: some are missing" in refusal(folder, "1")
