import json
import unicodedata
from pathlib import Path

import pytest

from fedcross.errors import DataError
from fedcross.training.data.sources.lists import ListedCase, list_notes, read_list


def listed(folder: Path, text: str, name: str = "list.csv") -> list[ListedCase]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_list(path)


def test_paths_in_a_csv_file_are_relative_to_it(tmp_path: Path) -> None:
    text = "image,label,split\nimages/p0.nii.gz,labels/p0.nii.gz,test\n p1.mha , l1.mha ,\n"
    first, second = listed(tmp_path, text)
    assert first == ListedCase(
        "p0", tmp_path / "images/p0.nii.gz", tmp_path / "labels/p0.nii.gz", "test", ""
    )
    assert (second.name, second.image, second.part) == ("p1", tmp_path / "p1.mha", "")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_columns_may_be_separated_by_semicolons_or_tabs(tmp_path: Path, separator: str) -> None:
    text = "image,label,split\np0.mha,l0.mha,test\n".replace(",", separator)
    (case,) = listed(tmp_path, text)
    assert (case.image.name, case.label.name, case.part) == ("p0.mha", "l0.mha", "test")


def test_a_name_that_no_file_can_have_is_a_file_that_does_not_exist(tmp_path: Path) -> None:
    name = "x" * 5000
    (case,) = listed(tmp_path, json.dumps([{"name": "a", "image": name, "label": "b"}]), "l.json")
    assert case.image == tmp_path / name


def test_names_and_patients_are_read_from_their_columns(tmp_path: Path) -> None:
    text = "name,patient,image,label\none,anna,x/dicom,l1.nrrd\ntwo,anna,y/dicom,l2.nrrd\n"
    assert [(c.name, c.patient) for c in listed(tmp_path, text)] == [
        ("one", "anna"),
        ("two", "anna"),
    ]


def test_json_is_an_array_or_a_monai_data_list(tmp_path: Path) -> None:
    one, two = ({"image": f"{n}.nii", "label": f"{n}-l.nii"} for n in "ab")
    (case,) = listed(tmp_path, json.dumps([{**one, "split": "test", "fold": 3}]), "l.json")
    assert (case.name, case.part) == ("a", "test")
    content = {"description": "of use", "training": [one], "validation": [two], "numTest": 0}
    assert [c.part for c in listed(tmp_path, json.dumps(content), "l.json")] == [
        "train",
        "validation",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,label\na.nii,b.nii\n", "Line 2 of the list list.csv lacks an image"),
        ("image,label\na.nii,b.nii\nc.nii,\n", "Line 3 .* lacks an image or a label"),
        ("image,label,split\na.nii,b.nii,holdout\n", "train, validation, test, got 'holdout'"),
        ("image,label\na.nii,b.nii\na.nii,b.nii\n", "Line 3 .*case a a second time.*column name"),
        ("image,label,split\n", "names no cases"),
        ("image,label\n.nii.gz,b.nii\n", "Line 2 .* has no name.*column name"),
    ],
)
def test_an_error_in_a_csv_file_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "l.json cannot be read"),
        ("7", "l.json cannot be read"),
        ('{"training": "a"}', "l.json cannot be read"),
        ('{"name": "x"}', "names no cases"),
        ('{"training": ["a.nii"]}', "Entry 1 of training .* lacks an image or a label"),
    ],
)
def test_an_error_in_a_json_file_names_its_entry(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path, text, "l.json")


def test_an_absent_list_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^There is no list named cases\.csv\."):
        read_list(tmp_path / "cases.csv")


@pytest.mark.parametrize(
    "content",
    [
        "sep=;\r\nimage;label\r\nä.nii;l.nii\r\n".encode("cp1252"),
        "\r\n\r\nimage,label\r\n,\r\nä.nii,l.nii\r\n,,\r\n\r\n".encode("utf-8-sig"),
        "image\tlabel\nä.nii\tl.nii\n".encode("utf-16"),
    ],
    ids=["Windows code page, declared separator", "mark, blank rows", "UTF-16"],
)
def test_lists_that_other_programs_save_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    (case,) = read_list(tmp_path / "list.csv")
    assert (case.name, case.image.name, case.label.name) == ("ä", "ä.nii", "l.nii")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.csv", "image,label\na.nii,l.nii\n".encode("utf-16-le")),
        ("list.csv", b"image,label\na\0.nii,l.nii\n"),
        ("list.json", rb'[{"image": "a\u0000.nii", "label": "l.nii"}]'),
    ],
)
def test_null_characters_in_a_list_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="has null characters"):
        read_list(tmp_path / name)


def test_the_line_of_an_error_counts_blank_rows_and_a_declared_separator(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^Line 5 of the list list\.csv lacks"):
        listed(tmp_path, "sep=;\nimage;label\na.nii;b.nii\n;\nc.nii;\n")


def test_backslashes_are_folders_where_no_file_has_them_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii").touch()
    (case,) = listed(tmp_path, "image,label\nimages\\a.nii,l.nii\n")
    assert case.image == tmp_path / "images" / "a.nii"


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accented_letters_match_in_either_form(tmp_path: Path, forms: tuple[str, str]) -> None:
    on_disk, in_list = (unicodedata.normalize(form, "é.nii") for form in forms)
    (tmp_path / on_disk).touch()
    (case,) = listed(tmp_path, f"image,label\n{in_list},l.nii\n")
    assert case.image.exists()


def test_images_with_one_name_in_several_folders_get_the_names_of_their_folders(
    tmp_path: Path,
) -> None:
    text = "image,label,patient\np1/t2.nii,p1/l.nii,1\np2/t2.nii,p2/l.nii,2\nx.nii,y.nii,3\n"
    assert [case.name for case in listed(tmp_path, text)] == ["p1-t2", "p2-t2", "x"]


def test_a_split_of_hundreds_of_characters_is_shown_in_part(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"image,label,split\na.nii,b.nii,{'train' * 100}\n", encoding="utf-8")
    with pytest.raises(DataError, match="split must be one of") as caught:
        read_list(path)
    assert len(str(caught.value)) < 200


def test_columns_are_found_in_any_case_and_with_spaces_around_them(tmp_path: Path) -> None:
    text = "Image , LABEL, Patient,Split\na.nii,b.nii,anna,Train\n"
    (case,) = listed(tmp_path, text)
    assert (case.image.name, case.label.name) == ("a.nii", "b.nii")
    assert (case.patient, case.part) == ("anna", "train")


def test_channels_are_found_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("Image:t2,image:Adc,label\na.nii,b.nii,c.nii\n", encoding="utf-8")
    (case,) = read_list(path, ("T2", "ADC"))
    assert (case.image.name, [each.name for each in case.further]) == ("a.nii", ["b.nii"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,Label\na,b,c\n", r"list\.csv has two columns named label"),
        (
            "image,label\na,1.nii,b.nii\n",
            r"Line 2 of the list list\.csv has 3 values for 2 columns",
        ),
    ],
)
def test_columns_that_do_not_fit_the_heading_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path, text)


def test_empty_columns_at_the_end_are_ignored(tmp_path: Path) -> None:
    (case,) = listed(tmp_path, "image,label,,\na.nii,b.nii,,,,\n")
    assert case.label.name == "b.nii"


def test_what_a_list_has_and_nobody_uses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("image,label,patient_id,fold\na,b,anna,0\n", encoding="utf-8")
    (note,) = list_notes(path)
    assert note.startswith("Not used in the list list.csv: fold, patient_id. It may have image")
    path.write_text("image,label,patient,image:T2\na,b,anna,c\n", encoding="utf-8")
    assert list_notes(path, ("ADC", "T2")) == ()


def test_test_images_of_a_challenge_without_labels_are_left_out(tmp_path: Path) -> None:
    content = {"training": [{"image": "a.nii", "label": "b.nii"}], "testing": ["c.nii", "d.nii"]}
    (case,) = listed(tmp_path, json.dumps(content), "l.json")
    assert case.name == "a"
    (note,) = list_notes(tmp_path / "l.json")
    assert note == "Without label, therefore not used: 2 test cases of l.json."


def test_an_array_named_val_has_the_validation_cases(tmp_path: Path) -> None:
    (case,) = listed(tmp_path, json.dumps({"val": [{"image": "a", "label": "b"}]}), "l.json")
    assert case.part == "validation"
