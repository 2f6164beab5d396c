"""Many cases: which ones a folder, a data set of nnU-Net or a list has."""

import json
from pathlib import Path

import pytest

from fedcross.errors import DataError
from fedcross.infer.batch.case import Case, safe_name, with_unique_names
from fedcross.infer.batch.find_files import find_image_cases
from fedcross.volumes.preprocessing import Preprocessing


def steps(*channels: str) -> Preprocessing:
    return Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16), channels=channels)


def names(source: Path, *channels: str) -> dict[str, list[str]]:
    cases = find_image_cases(source, steps(*channels), source.parent / "out")
    return {case.name: [path.name for path in case.images] for case in cases}


def fill(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).touch()
    return folder


def test_the_folder_of_the_results_is_no_case(tmp_path: Path) -> None:
    fill(tmp_path, "a.nrrd")
    fill(tmp_path / "out" / "a")
    fill(tmp_path / "series")
    cases = find_image_cases(tmp_path, steps(), tmp_path / "out" / "a")
    assert [case.name for case in cases] == ["a", "series"]


def test_of_a_raw_data_set_of_nnunet_the_test_images_are_taken(tmp_path: Path) -> None:
    root = tmp_path / "Dataset001_X"
    fill(root / "imagesTr", "t_0000.nii.gz")
    fill(root / "imagesTs", "a_0000.nii.gz", "a_0001.nii.gz")
    fill(root, "dataset.json")
    assert names(root, "T2", "ADC") == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}
    assert names(root / "imagesTr") == {"t": ["t_0000.nii.gz"]}
    # The bundle takes one image, and the case has two: that is refused when its turn comes.
    assert names(root) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}


def test_a_data_set_of_the_decathlon_numbers_no_channels(tmp_path: Path) -> None:
    root = tmp_path / "Task04_Hippocampus"
    fill(root / "imagesTs", "hippocampus_002.nii.gz", "._hippocampus_002.nii.gz")
    fill(root, "dataset.json")
    assert names(root) == {"hippocampus_002": ["hippocampus_002.nii.gz"]}


def test_a_list_needs_no_labels_and_has_a_column_for_each_channel(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("image;image:ADC;name\nt2/x.mha;adc/x.mha;\ny.mha;z.mha;of two\n")
    cases = find_image_cases(path, steps("T2", "ADC"), tmp_path / "out")
    assert cases == [
        Case("x", (tmp_path / "t2/x.mha", tmp_path / "adc/x.mha")),
        Case("of_two", (tmp_path / "y.mha", tmp_path / "z.mha")),
    ]


def test_a_list_of_monai_may_hold_names_alone(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"test": ["a.nii", {"image": "b.nii", "label": "l.nii"}]}))
    assert names(path) == {"a": ["a.nii"], "b": ["b.nii"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,name\n,a\n", "Line 2 of the list l.csv lacks an image"),
        ("image,name\na.nii,x\nb.nii,x\n", "Line 3 .* names the case x a second time"),
        ("", "names no cases. It needs image and optionally name"),
    ],
)
def test_a_wrong_list_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        names(tmp_path / "l.csv")


def test_a_folder_without_a_case_is_refused_and_says_what_is_expected(tmp_path: Path) -> None:
    fill(tmp_path / "in", "slice.dcm", "t2.nii.gz")
    with pytest.raises(DataError, match=r"There is no case in in: .* T2, ADC\. .*CASE_0001"):
        names(tmp_path / "in", "T2", "ADC")
    (tmp_path / "in" / "t2.nii.gz").unlink()
    with pytest.raises(DataError, match=r"There is no volume in in\. .*--series-root"):
        names(tmp_path / "in")
    with pytest.raises(DataError, match="There is no folder and no list named absent"):
        names(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1.2.840", "1.2.840"),
        ("../../etc/passwd", "etc_passwd"),
        (".hidden", "hidden"),
        ("a\\b:c\n*", "a_b_c"),
        ("Leber Übersicht", "Leber_Übersicht"),
        ("", "case"),
        ("..", "case"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_name_from_elsewhere_is_a_visible_folder_in_place(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_names_that_are_equal_on_some_system_get_a_number() -> None:
    cases = [Case(name, ()) for name in ("a", "A", "a-2", "a", "b")]
    assert [case.name for case in with_unique_names(cases)] == ["a", "A-2", "a-2-2", "a-3", "b"]
