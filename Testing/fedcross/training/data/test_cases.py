import errno
import os
from itertools import chain
from pathlib import Path

import pytest

from fedcross.errors import DataError
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.cases import find_cases, gather_cases


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def site(**values: object) -> SiteConfig:
    fields = {"name": "north", "images": "images", "labels": "labels", "split": (2, 1, 1)}
    return SiteConfig.model_validate({**fields, **values})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for kind in ("images", "labels"):
        touch(tmp_path / kind, *(f"p{n}.nii.gz" for n in range(6)), ".DS_Store", "._p1.nii.gz")
        touch(tmp_path / kind, "readme.txt")
    return tmp_path


def test_files_are_paired_by_name_and_split_by_the_numbers(data: Path) -> None:
    cases = find_cases(site(), data, seed=1)
    names = cases.names()
    assert [len(part) for part in names.values()] == [2, 1, 1, 2]
    assert sorted(chain.from_iterable(names.values())) == [f"p{n}" for n in range(6)]
    for case in cases.train:
        assert case.label == data / "labels" / f"{case.name}.nii.gz"


def test_the_split_depends_on_the_seed_and_the_sites_name(data: Path) -> None:
    splits = [
        find_cases(site(name=n), data, seed=s).names()
        for n, s in (("north", 1), ("north", 1), ("north", 2), ("south", 1))
    ]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]
    assert splits[0] != splits[3]


def test_with_patterns_label_names_may_differ_from_image_names(tmp_path: Path) -> None:
    touch(
        tmp_path, "Case00.mhd", "Case00_segmentation.mhd", "Case01.mhd", "Case01_segmentation.mhd"
    )
    found = find_cases(
        site(images="Case[0-9][0-9].mhd", labels="Case*_segmentation.mhd", split=(2, 0, 0)),
        tmp_path,
        seed=0,
    )
    assert sorted((c.name, c.image.name, c.label.name) for c in found.train) == [
        ("00", "Case00.mhd", "Case00_segmentation.mhd"),
        ("01", "Case01.mhd", "Case01_segmentation.mhd"),
    ]


def test_files_that_both_patterns_match_are_labels_only(tmp_path: Path) -> None:
    touch(tmp_path / "RUNMC", "Case00.nii.gz", "Case00_Segmentation.nii.gz")
    values = {"images": "RUNMC/Case*.nii.gz", "labels": "RUNMC/Case*_Segmentation.nii.gz"}
    (case,) = find_cases(site(**values, split=(1, 0, 0)), tmp_path, seed=0).train
    assert (case.image.name, case.label.name) == ("Case00.nii.gz", "Case00_Segmentation.nii.gz")


@pytest.mark.parametrize("place", ["images", "images/p*.nii.gz"])
def test_labels_that_are_the_images_are_refused(data: Path, place: str) -> None:
    with pytest.raises(DataError, match=r"All images in .* are also labels\. Give .* different"):
        find_cases(site(images=place, labels=place), data, seed=1)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("labels/p3.nii.gz", "Case p3 of site north has an image but no label"),
        ("images/p4.nii.gz", "Case p4 of site north has a label but no image"),
    ],
)
def test_a_case_without_image_or_label_is_named(data: Path, remove: str, message: str) -> None:
    (data / remove).unlink()
    with pytest.raises(DataError, match=message):
        find_cases(site(), data, seed=1)


def test_absent_folders_and_too_few_cases_are_refused(data: Path) -> None:
    with pytest.raises(DataError, match=r"Site north: The folder pictures .* does not exist"):
        find_cases(site(images="pictures"), data, seed=1)
    (data / "empty").mkdir()
    with pytest.raises(DataError, match="Site north: There are no labels in empty"):
        find_cases(site(labels="empty"), data, seed=1)
    with pytest.raises(DataError, match=r"6 cases, but its split \[5, 1, 1\] needs 7\."):
        find_cases(site(split=(5, 1, 1)), data, seed=1)
    touch(data / "images", "p1.nrrd")
    with pytest.raises(DataError, match=r"two images for case p1: p1\.nii\.gz and p1\.nrrd"):
        find_cases(site(), data, seed=1)


def test_only_the_named_cases_are_used(data: Path) -> None:
    (data / "labels" / "p5.nii.gz").unlink()  # case p5 is not selected
    found = find_cases(site(cases=("p[0-2]", "p4")), data, seed=1)
    assert sorted(chain.from_iterable(found.names().values())) == ["p0", "p1", "p2", "p4"]
    with pytest.raises(DataError, match=r"Site north: There is no case q\*"):
        find_cases(site(cases=("p[0-3]", "q*")), data, seed=1)


def test_an_explicit_split_is_followed(data: Path) -> None:
    split = {"train": ["p5", "p0"], "test": ["p2"]}
    names = find_cases(site(split=split), data, seed=1).names()
    assert names["train"] == ["p5", "p0"]
    assert (names["validation"], names["test"], names["unused"]) == ([], ["p2"], ["p1", "p3", "p4"])
    for wrong, message in ((["p2"], "names p2 twice"), (["p9"], "names p9, which does not exist")):
        with pytest.raises(DataError, match=message):
            find_cases(site(split={**split, "validation": wrong}), data, seed=1)


def test_errors_of_excluded_cases_are_ignored(data: Path) -> None:
    (data / "labels" / "p5.nii.gz").unlink()
    found = find_cases(site(exclude=("p5", "p0")), data, seed=1)
    assert sorted(chain.from_iterable(found.names().values())) == ["p1", "p2", "p3", "p4"]
    with pytest.raises(DataError, match="There is no case p9"):
        find_cases(site(exclude=("p5", "p9")), data, seed=1)


def test_all_incomplete_cases_are_returned_and_the_first_is_raised(data: Path) -> None:
    (data / "labels" / "p3.nii.gz").unlink()
    (data / "images" / "p1.nii.gz").unlink()
    assert list(gather_cases(site(), data).problems) == ["p1", "p3"]
    assert [case.name for case in gather_cases(site(), data).cases] == ["p0", "p2", "p4", "p5"]
    with pytest.raises(DataError, match=r"Case p1 .*Other errors: 1; fedcross data check"):
        find_cases(site(), data, seed=1)


def test_a_text_that_several_wildcards_match_is_in_the_name_once(tmp_path: Path) -> None:
    for patient in ("01", "02"):
        touch(tmp_path / f"sub-{patient}" / "anat", f"sub-{patient}_T2w.nii.gz")
        touch(tmp_path / f"sub-{patient}" / "anat", f"sub-{patient}_label.nii.gz")
    found = find_cases(
        site(
            images="sub-*/anat/sub-*_T2w.nii.gz",
            labels="sub-*/anat/sub-*_label.nii.gz",
            split=(2, 0, 0),
        ),
        tmp_path,
        seed=0,
    )
    assert sorted(case.name for case in found.train) == ["01", "02"]


def test_the_option_patient_keeps_a_patients_scans_together(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        touch(tmp_path / kind, *(f"anna_{n}.nii" for n in range(3)), "ben_0.nii", "cleo_0.nii")
    found = find_cases(site(patient="^([a-z]+)_", split=(3, 1, 1)), tmp_path, seed=4)
    assert [case.name for case in found.train] == ["anna_0", "anna_1", "anna_2"]
    with pytest.raises(DataError, match=r"Site north: .*does not match the case anna_0"):
        find_cases(site(patient="^sub-"), tmp_path, seed=4)


def test_files_patients_and_parts_are_taken_from_a_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii")
    rows = "image,label,patient,split\na.nii,a.nii,anna,train\nb.nii,b.nii,anna,test\n"
    (tmp_path / "list.csv").write_text(rows, encoding="utf-8")
    config = SiteConfig.model_validate({"name": "north", "list": "list.csv"})
    with pytest.raises(
        DataError, match=r"a and b of site north belong to one patient.*train.*test"
    ):
        find_cases(config, tmp_path, seed=1)
    (tmp_path / "list.csv").write_text(rows.replace("b.nii,anna", "b.nii,ben"), encoding="utf-8")
    assert find_cases(config, tmp_path, seed=1).names()["test"] == ["b"]
    (tmp_path / "b.nii").unlink()
    with pytest.raises(DataError, match=r"Case b of site north: b\.nii does not exist"):
        find_cases(config, tmp_path, seed=1)


def test_a_list_without_split_column_needs_the_option_split(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii")
    rows = "".join(f"{name}.nii,{name}.nii\n" for name in "abc")
    (tmp_path / "list.csv").write_text("image,label\n" + rows, encoding="utf-8")
    values = {"name": "north", "list": "list.csv"}
    with pytest.raises(
        DataError, match="Site north has no split, and its list has no split column"
    ):
        find_cases(SiteConfig.model_validate(values), tmp_path, seed=1)
    config = SiteConfig.model_validate({**values, "split": (1, 1, 1)})
    assert [len(part) for part in find_cases(config, tmp_path, 1).names().values()] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    "options",
    [{}, {"images": None, "labels": None, "dataset": "promise12", "root": "images"}],
    ids=["folders", "dataset"],
)
def test_a_folder_without_read_permission_is_reported(
    data: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    def refused(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(data / "images"))

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(DataError) as caught:
        gather_cases(site(**options), data)
    assert str(caught.value) == (
        "Site north: images cannot be read: Permission denied. "
        "Check that the drive is connected and that you have permission to read it."
    )


def test_names_in_upper_case_and_pairs_of_files_are_found(tmp_path: Path) -> None:
    touch(tmp_path / "images", "p0.NII.GZ", "p1.Nrrd", "p2.hdr", "p2.img", "p3.MHA")
    touch(tmp_path / "labels", "p0.nii.gz", "p1.NRRD", "p2.HDR", "p2.IMG", "p3.mha")
    found = gather_cases(site(), tmp_path)
    assert [case.name for case in found.cases] == ["p0", "p1", "p2", "p3"]
    assert found.problems == {}


def test_a_folder_of_pictures_is_told_from_an_empty_one(tmp_path: Path) -> None:
    touch(tmp_path / "images", "p0.png", "p1.png")
    touch(tmp_path / "labels", "p0.nii.gz")
    with pytest.raises(DataError, match=r"no images in images: none of its 2 files .* p0\.png"):
        gather_cases(site(), tmp_path)
    touch(tmp_path / "empty")
    with pytest.raises(DataError, match=r"There are no images in empty\. "):
        gather_cases(site(images="empty"), tmp_path)


def test_a_name_with_brackets_is_excluded_by_itself(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a[1].nii", "a1.nii", "b.nii")
    touch(tmp_path / "labels", "a[1].nii", "a1.nii", "b.nii")
    found = gather_cases(site(exclude=("a[1]",)), tmp_path)
    assert "a[1]" not in [case.name for case in found.cases]


@pytest.mark.parametrize("place", ["~/labels", "$DATA/labels", "%DATA%/labels"])
def test_a_path_with_a_name_that_is_not_replaced_is_shown_with_what_to_do(
    tmp_path: Path, place: str
) -> None:
    with pytest.raises(DataError) as caught:
        gather_cases(site(labels=place), tmp_path)
    assert caught.value.message == f"Site north: The folder {place} for the labels does not exist."
    assert caught.value.hint.startswith("Write the path in full")
