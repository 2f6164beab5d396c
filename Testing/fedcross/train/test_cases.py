from itertools import chain
from pathlib import Path

import pytest

from fedcross.errors import DataError
from fedcross.train.cases import find_cases
from fedcross.train.config_sections import SiteConfig


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
    with pytest.raises(DataError, match=r"images of site north .* no such folder"):
        find_cases(site(images="pictures"), data, seed=1)
    (data / "empty").mkdir()
    with pytest.raises(DataError, match="no labels for site north in empty"):
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
    with pytest.raises(DataError, match="north has no case q"):
        find_cases(site(cases=("p[0-3]", "q*")), data, seed=1)


def test_an_explicit_split_is_followed(data: Path) -> None:
    split = {"train": ["p5", "p0"], "test": ["p2"]}
    names = find_cases(site(split=split), data, seed=1).names()
    assert names["train"] == ["p5", "p0"]
    assert (names["validation"], names["test"], names["unused"]) == ([], ["p2"], ["p1", "p3", "p4"])
    for wrong, says in ((["p2"], "names p2 twice"), (["p9"], "names p9, which is not there")):
        with pytest.raises(DataError, match=says):
            find_cases(site(split={**split, "validation": wrong}), data, seed=1)


def listed(data: Path, text: str, split: object = None) -> dict[str, list[str]]:
    (data / "list.csv").write_text(text, encoding="utf-8")
    config = SiteConfig.model_validate({"name": "north", "list": "list.csv", "split": split})
    return find_cases(config, data, seed=1).names()


def test_a_list_names_files_and_parts(data: Path) -> None:
    names = listed(
        data,
        "image,label,split\nimages/p0.nii.gz,labels/p0.nii.gz,test\n"
        "images/p1.nii.gz,labels/p1.nii.gz,train\nimages/p2.nii.gz,labels/p2.nii.gz,\n",
    )
    assert names == {"train": ["p1"], "validation": [], "test": ["p0"], "unused": ["p2"]}


def test_a_list_without_parts_is_split_by_the_numbers(data: Path) -> None:
    rows = "".join(f"images/p{n}.nii.gz,labels/p{n}.nii.gz\n" for n in range(3))
    names = listed(data, "image,label\n" + rows, (1, 1, 1))
    assert [len(part) for part in names.values()] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,label\na.nii,b.nii\n", "no split column"),
        ("picture,label\na.nii,b.nii\n", "Line 2 of the list list.csv lacks an image"),
        (
            "image,label,split\na.nii,b.nii,train\nc.nii,,train\n",
            "Line 3 .* lacks an image or a label",
        ),
        ("image,label,split\na.nii,b.nii,holdout\n", "train, validation, test, got 'holdout'"),
        ("image,label,split\na.nii,b.nii,train\na.nii,b.nii,test\n", "case a a second time"),
        ("image,label,split\na.nii,b.nii,test\n", "has no training case"),
        ("image,label,split\n", "names no cases"),
    ],
)
def test_a_mistake_in_a_list_is_named_with_its_line(data: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        listed(data, text)
