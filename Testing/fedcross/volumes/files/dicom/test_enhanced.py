"""Multi-frame files: geometry and rescale by frame."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from dicom_files import (
    AXIAL,
    ORIGIN_MM,
    SPACING_MM,
    item,
    make_dataset,
    make_volume,
    write_enhanced,
)
from fedcross.errors import DataError
from fedcross.volumes.files.read import read_volume

Change = Callable[[Any, int], object]


def place(group: Any, z_mm: float, y_mm: float = ORIGIN_MM[1]) -> None:
    group.PlanePositionSequence = [item(ImagePositionPatient=[ORIGIN_MM[0], y_mm, z_mm])]


def refusal(path: Path, series: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read_volume(path, series)
    return str(caught.value)


def test_frames_are_sorted_by_their_positions(tmp_path: Path) -> None:
    order = [3, 0, 5, 1, 4, 2]
    volume = make_volume()
    path = write_enhanced(
        tmp_path / "E.dcm",
        volume[order],
        lambda group, k: place(group, ORIGIN_MM[2] + order[k] * SPACING_MM[2]),
    )
    for given in (path, path.parent):
        image = read_volume(given)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume)
        assert image.GetSpacing() == pytest.approx(SPACING_MM)
        assert image.GetOrigin() == pytest.approx(ORIGIN_MM)


def test_each_frame_is_rescaled_by_its_own_slope(tmp_path: Path) -> None:
    def rescale(group: Any, k: int) -> None:
        group.PixelValueTransformationSequence = [
            item(RescaleSlope=0.5 * (k + 1), RescaleIntercept=k, RescaleType="US")
        ]

    path = write_enhanced(tmp_path / "E.dcm", change=rescale)
    factor = 0.5 * np.arange(1, 7).reshape(-1, 1, 1)
    expected = make_volume() * factor + np.arange(6).reshape(-1, 1, 1)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_volume(path)), expected)


def test_groups_that_all_frames_share_count_for_each(tmp_path: Path) -> None:
    def share(dataset: Any, _: int) -> None:
        dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [
            item(RescaleSlope=2, RescaleIntercept=-1)
        ]

    image = read_volume(write_enhanced(tmp_path / "E.dcm", change_all=share))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), 2 * make_volume() - 1)


def leave_gap(group: Any, k: int) -> None:
    place(group, 2.5 * (k + (k > 2)))


def tilt(group: Any, k: int) -> None:
    place(group, 2.5 * k, 0.5 * k)


def turn_last(group: Any, k: int) -> None:
    if k > 2:
        group.PlaneOrientationSequence = [item(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]


def forget_place(group: Any, _: int) -> None:
    del group.PlanePositionSequence


def forget_one_place(group: Any, k: int) -> None:
    if k == 2:
        del group.PlanePositionSequence


def stay(group: Any, _: int) -> None:
    place(group, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (leave_gap, "lie 2.5 to 5 mm apart: some are missing"),
        (tilt, "not stacked straight: the last one lies 2.5 mm aside"),
        (turn_last, "E.dcm holds 2 volumes: 1: MR, axial, 3 slices of 4 x 5, 0.75 x 0.5 x 2.5 mm"),
        (forget_place, "E.dcm has no position for each of its 6 slices"),
        (forget_one_place, "E.dcm holds 2 volumes"),
        (stay, "several pictures of one place (such as frames of E.dcm)"),
    ],
)
def test_frames_that_are_no_box_are_refused(tmp_path: Path, change: Change, message: str) -> None:
    assert message in refusal(write_enhanced(tmp_path / "E.dcm", change=change))


def number_time(group: Any, k: int) -> None:
    group.FrameContentSequence[0].TemporalPositionIndex = k % 2 + 1


def number_echo(group: Any, k: int) -> None:
    group.MREchoSequence = [item(EffectiveEchoTime=(90.0, 10.0)[k % 2])]


def number_b_value(group: Any, k: int) -> None:
    group.MRDiffusionSequence = [item(DiffusionBValue=(0.0, 800.0)[k % 2])]


def number_dimension(group: Any, k: int) -> None:
    group.FrameContentSequence[0].DimensionIndexValues = [1, k // 2 + 1, k % 2 + 1]


@pytest.mark.parametrize(
    ("change", "words", "first"),
    [
        (number_time, ("time point 1", "time point 2"), 0),
        (number_echo, ("echo time 10.0", "echo time 90.0"), 1),
        (number_b_value, ("b-value 0.0", "b-value 800.0"), 0),
        (number_dimension, ("dimension 3 1", "dimension 3 2"), 0),
    ],
)
def test_volumes_at_the_same_place_are_named_and_one_is_chosen(
    tmp_path: Path, change: Change, words: tuple[str, str], first: int
) -> None:
    def both(group: Any, k: int) -> None:
        place(group, ORIGIN_MM[2] + k // 2 * SPACING_MM[2])
        change(group, k)

    path = write_enhanced(tmp_path / "E.dcm", change=both)
    message = refusal(path)
    assert "E.dcm holds 2 volumes: 1: MR, axial, 3 slices of 4 x 5, 0.75 x 0.5 x 2.5 mm" in message
    assert all(word in message for word in words)
    assert message.index(words[0]) < message.index(words[1])
    for number in (0, 1):
        array = sitk.GetArrayFromImage(read_volume(path, str(number + 1)))
        np.testing.assert_array_equal(array, make_volume()[(number + first) % 2 :: 2])
    assert "There is no series 3: E.dcm holds 2 volumes" in refusal(path, "3")


def test_a_multi_frame_file_without_places_is_refused(tmp_path: Path) -> None:
    dataset = make_dataset(make_volume(), "1.2.3", "1.2")
    dataset.NumberOfFrames = 6
    dataset.ImagePositionPatient = list(ORIGIN_MM)
    dataset.ImageOrientationPatient = list(AXIAL)
    dataset.PixelSpacing = [0.5, 0.75]
    dataset.save_as(tmp_path / "C.dcm", enforce_file_format=True)
    assert "C.dcm has no position for each of its 6 slices" in refusal(tmp_path / "C.dcm")


def cut_groups(dataset: Any, _: int) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[-1]


def declare_frames(count: int) -> Change:
    def change(dataset: Any, _: int) -> None:
        dataset.NumberOfFrames = count

    return change


@pytest.mark.parametrize(
    ("change_all", "message"),
    [
        (cut_groups, "it describes 5 frames and declares 6"),
        (declare_frames(7), "it describes 6 frames and declares 7"),
        (declare_frames(10**6), "it declares 1000000 frames"),
        (declare_frames(-1), "it declares -1 frames"),
    ],
)
def test_a_file_that_contradicts_itself_is_damaged(
    tmp_path: Path, change_all: Change, message: str
) -> None:
    path = write_enhanced(tmp_path / "E.dcm", change_all=change_all)
    assert f"E.dcm is damaged or cut short: {message}" in refusal(path)


def test_a_cut_file_is_damaged(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "E.dcm")
    content = path.read_bytes()
    path.write_bytes(b"")
    assert "E.dcm is empty" in refusal(path)
    for keep in (140, 400, 700, len(content) - 1):
        path.write_bytes(content[:keep])
        assert re.search(r"E\.dcm (is damaged|has unreadable files)", refusal(path))
    path.write_bytes(content)
    assert read_volume(path).GetSize() == (4, 5, 6)
