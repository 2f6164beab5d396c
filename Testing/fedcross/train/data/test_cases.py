import errno
import os
from itertools import chain
from pathlib import Path

import pytest

from fedcross.errors import DataError
from fedcross.train.config.site import SiteConfig
from fedcross.train.data.cases import find_cases, gather


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


def test_cases_are_paired_by_name_and_split_by_the_numbers(data: Path) -> None:
    cases = find_cases(site(), data, seed=1)
    names = cases.names()
    assert [len(part) for part in names.values()] == [2, 1, 1, 2]
    assert sorted(chain.from_iterable(names.values())) == [f"p{n}" for n in range(6)]
    for case in cases.train:
        assert case.label == data / "labels" / f"{case.name}.nii.gz"


def test_the_split_follows_the_seed_and_the_sites_name(data: Path) -> None:
    splits = [
        find_cases(site(name=n), data, seed=s).names()
        for n, s in (("north", 1), ("north", 1), ("north", 2), ("south", 1))
    ]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]
    assert splits[0] != splits[3]


def test_label_names_may_differ_from_image_names_by_a_pattern(tmp_path: Path) -> None:
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


def test_in_one_folder_a_pattern_for_images_may_match_the_labels_too(tmp_path: Path) -> None:
    touch(tmp_path / "RUNMC", "Case00.nii.gz", "Case00_Segmentation.nii.gz")
    values = {"images": "RUNMC/Case*.nii.gz", "labels": "RUNMC/Case*_Segmentation.nii.gz"}
    (case,) = find_cases(site(**values, split=(1, 0, 0)), tmp_path, seed=0).train
    assert (case.image.name, case.label.name) == ("Case00.nii.gz", "Case00_Segmentation.nii.gz")


@pytest.mark.parametrize("place", ["images", "images/p*.nii.gz"])
def test_labels_that_are_the_images_are_refused(data: Path, place: str) -> None:
    with pytest.raises(DataError, match=r"The images in .* are the labels\. Let .* differ"):
        find_cases(site(images=place, labels=place), data, seed=1)


@pytest.mark.parametrize(
    ("remove", "says"),
    [
        ("labels/p3.nii.gz", "Case p3 of site north has an image but no label"),
        ("images/p4.nii.gz", "Case p4 of site north has a label but no image"),
    ],
)
def test_half_a_case_is_named(data: Path, remove: str, says: str) -> None:
    (data / remove).unlink()
    with pytest.raises(DataError, match=says):
        find_cases(site(), data, seed=1)


def test_what_is_missing_is_said(data: Path) -> None:
    with pytest.raises(DataError, match=r"Site north: The images .* no such folder"):
        find_cases(site(images="pictures"), data, seed=1)
    (data / "empty").mkdir()
    with pytest.raises(DataError, match="Site north: There are no labels in empty"):
        find_cases(site(labels="empty"), data, seed=1)
    with pytest.raises(DataError, match=r"6 cases, fewer than its split \[5, 1, 1\] needs \(7\)"):
        find_cases(site(split=(5, 1, 1)), data, seed=1)
    touch(data / "images", "p1.nrrd")
    with pytest.raises(DataError, match=r"two images for case p1: p1\.nii\.gz and p1\.nrrd"):
        find_cases(site(), data, seed=1)


def test_only_the_named_cases_are_used(data: Path) -> None:
    (data / "labels" / "p5.nii.gz").unlink()  # not asked for: no mistake
    found = find_cases(site(cases=("p[0-2]", "p4")), data, seed=1)
    assert sorted(chain.from_iterable(found.names().values())) == ["p0", "p1", "p2", "p4"]
    with pytest.raises(DataError, match=r"Site north: There is no case q\*"):
        find_cases(site(cases=("p[0-3]", "q*")), data, seed=1)


def test_an_explicit_split_is_followed(data: Path) -> None:
    split = {"train": ["p5", "p0"], "test": ["p2"]}
    names = find_cases(site(split=split), data, seed=1).names()
    assert names["train"] == ["p5", "p0"]
    assert (names["validation"], names["test"], names["unused"]) == ([], ["p2"], ["p1", "p3", "p4"])
    for wrong, says in ((["p2"], "names p2 twice"), (["p9"], "names p9, which is not there")):
        with pytest.raises(DataError, match=says):
            find_cases(site(split={**split, "validation": wrong}), data, seed=1)


def test_cases_to_leave_out_are_named_and_their_mistakes_forgiven(data: Path) -> None:
    (data / "labels" / "p5.nii.gz").unlink()
    found = find_cases(site(exclude=("p5", "p0")), data, seed=1)
    assert sorted(chain.from_iterable(found.names().values())) == ["p1", "p2", "p3", "p4"]
    with pytest.raises(DataError, match="There is no case p9"):
        find_cases(site(exclude=("p5", "p9")), data, seed=1)


def test_every_half_case_is_told_and_the_first_one_raised(data: Path) -> None:
    (data / "labels" / "p3.nii.gz").unlink()
    (data / "images" / "p1.nii.gz").unlink()
    assert list(gather(site(), data).problems) == ["p1", "p3"]
    assert [case.name for case in gather(site(), data).cases] == ["p0", "p2", "p4", "p5"]
    with pytest.raises(DataError, match=r"Case p1 .*1 more are wrong; fedcross data check"):
        find_cases(site(), data, seed=1)


def test_patterns_reach_over_folders_and_name_a_case_once(tmp_path: Path) -> None:
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


def test_the_patient_is_found_in_the_cases_name(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        touch(tmp_path / kind, *(f"anna_{n}.nii" for n in range(3)), "ben_0.nii", "cleo_0.nii")
    found = find_cases(site(patient="^([a-z]+)_", split=(3, 1, 1)), tmp_path, seed=4)
    assert [case.name for case in found.train] == ["anna_0", "anna_1", "anna_2"]
    with pytest.raises(DataError, match=r"Site north: .*does not match the case anna_0"):
        find_cases(site(patient="^sub-"), tmp_path, seed=4)


def test_a_list_names_files_patients_and_parts(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii")
    rows = "image,label,patient,split\na.nii,a.nii,anna,train\nb.nii,b.nii,anna,test\n"
    (tmp_path / "list.csv").write_text(rows, encoding="utf-8")
    config = SiteConfig.model_validate({"name": "north", "list": "list.csv"})
    with pytest.raises(DataError, match=r"a and b of site north are of one patient.*train.*test"):
        find_cases(config, tmp_path, seed=1)
    (tmp_path / "list.csv").write_text(rows.replace("b.nii,anna", "b.nii,ben"), encoding="utf-8")
    assert find_cases(config, tmp_path, seed=1).names()["test"] == ["b"]
    (tmp_path / "b.nii").unlink()
    with pytest.raises(DataError, match=r"Case b of site north: there is no b\.nii"):
        find_cases(config, tmp_path, seed=1)


def test_a_list_without_parts_needs_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "b.nii", "c.nii")
    rows = "".join(f"{name}.nii,{name}.nii\n" for name in "abc")
    (tmp_path / "list.csv").write_text("image,label\n" + rows, encoding="utf-8")
    values = {"name": "north", "list": "list.csv"}
    with pytest.raises(DataError, match="site north has no split column"):
        find_cases(SiteConfig.model_validate(values), tmp_path, seed=1)
    config = SiteConfig.model_validate({**values, "split": (1, 1, 1)})
    assert [len(part) for part in find_cases(config, tmp_path, 1).names().values()] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    "options",
    [{}, {"images": None, "labels": None, "dataset": "promise12", "root": "images"}],
    ids=["folders", "dataset"],
)
def test_a_folder_that_may_not_be_read_is_said(
    data: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    def refused(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(data / "images"))

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os, "listdir", refused)
    with pytest.raises(DataError) as caught:
        gather(site(**options), data)
    assert str(caught.value) == (
        "Site north: images cannot be read: Permission denied. "
        "Check that the drive is there and that you may read it."
    )
