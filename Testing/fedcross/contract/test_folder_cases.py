"""The cases in a folder of volumes, by the names of the files."""

from pathlib import Path

import pytest

from fedcross.contract.folder_cases import find_cases


@pytest.fixture
def found(tmp_path: Path):
    """Make empty files, and return the cases as a dict from their names to those of their images."""

    def find(names: str, channels: int = 1, **options: bool) -> dict[str, list[str]]:
        for name in names.split():
            (tmp_path / name).touch()
        cases = find_cases(tmp_path, channels, **options)
        return {case.name: [path.name for path in case.images] for case in cases}

    return find


def test_every_volume_is_a_case_named_after_its_file(found) -> None:
    assert found("b.nii.gz a.MHA a.raw notes.txt .hidden.nrrd") == {
        "a": ["a.MHA"],
        "b": ["b.nii.gz"],
    }


def test_files_that_differ_only_in_their_ending_keep_it(found) -> None:
    assert found("a.nrrd a.mha b.mha") == {"a.mha": ["a.mha"], "a.nrrd": ["a.nrrd"], "b": ["b.mha"]}


def test_the_number_of_the_only_channel_is_no_part_of_the_name(found) -> None:
    assert found("x_0000.nii.gz y_0000.nii.gz") == {"x": ["x_0000.nii.gz"], "y": ["y_0000.nii.gz"]}


def test_volumes_that_are_numbered_in_another_way_are_cases_of_their_own(found) -> None:
    """In a folder that is not nnU-Net's, ``scan_0001`` is the second scan, not the second channel."""
    assert list(found("scan_0000.mha scan_0001.mha")) == ["scan_0000", "scan_0001"]


def test_with_several_channels_the_files_of_a_case_are_numbered(found) -> None:
    names = "x_0000.mha x_0001.mha y_0000.mha other.mha"
    assert found(names, 2) == {"x": ["x_0000.mha", "x_0001.mha"], "y": ["y_0000.mha", "y_0001.mha"]}


def test_a_case_of_nnunet_has_all_its_channels_however_many_the_bundle_takes(found) -> None:
    names = "x_0000.mha x_0001.mha y_0001.mha"
    both = {name: [f"{name}_0000.mha", f"{name}_0001.mha"] for name in "xy"}
    assert found(names, 1, is_nnunet=True) == both
    assert [len(images) for images in found("", 3, is_nnunet=True).values()] == [3, 3]


def test_a_name_that_is_only_a_number_stays(found) -> None:
    assert found("_0000.mha") == {"_0000": ["_0000.mha"]}


def test_a_folder_without_volumes_has_no_case(tmp_path: Path) -> None:
    assert find_cases(tmp_path, 1) == find_cases(tmp_path / "absent", 2) == []
    assert find_cases(tmp_path, 1, is_nnunet=True) == []
