"""Cases of several co-registered images: how they are found, read, checked and preprocessed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import dataset_trees
from fedcross.errors import DataError
from fedcross.training.config.file import load_config
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.cases import find_cases, gather_cases
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.sources.lists import read_list
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.prepare import prepare
from two_channels import write_two_channel_federation

NAMES = ("T2", "ADC")


def site(**values: Any) -> SiteConfig:
    return SiteConfig.model_validate({"name": "north", "split": (1, 1, 1), **values})


def files(case: CaseFiles, root: Path) -> list[tuple[str, int | None]]:
    return [(str(each.path.relative_to(root)), each.channel) for each in case.images]


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_the_images_of_the_channels_are_paired_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "t2", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    touch(tmp_path / "diffusion", *(f"{name}_adc.nrrd" for name in "abc"))
    touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz", "c.nii.gz")
    config = site(images=["t2", "diffusion/*_adc.nrrd"], labels="labels")
    found = find_cases(config, tmp_path, 1, NAMES)
    for case in (*found.train, *found.validation, *found.test):
        expected = [(f"t2/{case.name}.nii.gz", None), (f"diffusion/{case.name}_adc.nrrd", None)]
        assert files(case, tmp_path) == expected


def test_a_case_without_an_image_for_a_channel_names_the_channel(tmp_path: Path) -> None:
    touch(tmp_path / "t2", "a.nii.gz", "b.nii.gz")
    touch(tmp_path / "adc", "a.nii.gz")
    touch(tmp_path / "labels", "a.nii.gz", "b.nii.gz")
    found = gather_cases(site(images=["t2", "adc"], labels="labels"), tmp_path, NAMES)
    assert [case.name for case in found.cases] == ["a"]
    assert "Case b of site north has no image for ADC." in str(found.problems["b"])


def test_one_4d_image_holds_all_channels(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.nii.gz")
    touch(tmp_path / "labels", "a.nii.gz")
    config = site(images="images", labels="labels", channel=[2, 0], split=(1, 0, 0))
    (case,) = find_cases(config, tmp_path, 1, NAMES).train
    assert files(case, tmp_path) == [("images/a.nii.gz", 2), ("images/a.nii.gz", 0)]


@pytest.mark.parametrize(
    ("names", "channel", "expected"),
    [
        (NAMES, None, [0, 1]),
        (("adc", "t2"), None, [1, 0]),  # by name, ignoring upper and lower case
        (("low b", "high b"), None, [0, 1]),  # other names: all channels in their order
        (NAMES, [1, 0], [1, 0]),
        (("ADC",), None, [1]),
    ],
)
def test_the_channels_of_a_decathlon_folder_are_chosen(
    tmp_path: Path, names: tuple[str, ...], channel: Any, expected: list[int]
) -> None:
    root = dataset_trees.write_msd(tmp_path / "Task05_Prostate")
    found = find_cases(site(dataset="msd", root=root.name, channel=channel), tmp_path, 1, names)
    for case in found.train:
        assert [each.channel for each in case.images] == expected
        assert {each.path.name for each in case.images} == {f"{case.name}.nii.gz"}


@pytest.mark.parametrize(
    ("names", "channel", "expected"),
    [
        (("C0", "C1"), None, ["0000", "0001"]),
        (("C1", "C0"), None, ["0001", "0000"]),
        (("x", "y"), [1, 0], ["0001", "0000"]),
    ],
)
@pytest.mark.parametrize("is_listed", [False, True])
def test_the_channels_of_an_nnunet_folder_are_files(
    tmp_path: Path, names: tuple[str, ...], channel: Any, expected: list[str], is_listed: bool
) -> None:
    root = dataset_trees.write_nnunet(tmp_path / "Dataset100_Prostate", channels=2)
    if is_listed:
        content = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
        content["dataset"] = {
            f"case_{n:03d}": {
                "images": [f"imagesTr/case_{n:03d}_{c:04d}.nrrd" for c in range(2)],
                "label": f"labelsTr/case_{n:03d}.nrrd",
            }
            for n in range(3)
        }
        (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    found = find_cases(site(dataset="nnunet", root=root.name, channel=channel), tmp_path, 1, names)
    for case in found.train:
        expected_names = [f"{case.name}_{number}.nrrd" for number in expected]
        assert [each.path.name for each in case.images] == expected_names
        assert [each.channel for each in case.images] == [None, None]


def test_an_nnunet_case_that_lacks_a_file_of_a_channel_is_an_error(tmp_path: Path) -> None:
    root = dataset_trees.write_nnunet(tmp_path / "Dataset100_Prostate", channels=2)
    (root / "imagesTr" / "case_001_0001.nrrd").unlink()
    with pytest.raises(DataError, match="Case case_001 of site north has no image for C1"):
        find_cases(site(dataset="nnunet", root=root.name), tmp_path, 1, ("C0", "C1"))


@pytest.mark.parametrize(("names", "channel"), [(("a", "b", "c"), None), (NAMES, [0, 2])])
def test_channels_that_a_data_set_does_not_have_are_an_error(
    tmp_path: Path, names: tuple[str, ...], channel: Any
) -> None:
    root = dataset_trees.write_msd(tmp_path / "Task05_Prostate")
    with pytest.raises(DataError, match=r"have the channels 0 \(T2\), 1 \(ADC\), but the conf"):
        find_cases(site(dataset="msd", root=root.name, channel=channel), tmp_path, 1, names)


@pytest.mark.parametrize("first", ["image", "image:T2"])
def test_a_csv_list_has_a_column_for_every_channel(tmp_path: Path, first: str) -> None:
    text = f"{first},image:ADC,label,split\nt.nii,a.nii,l.nii,train\n"
    (tmp_path / "l.csv").write_text(text, encoding="utf-8")
    (case,) = read_list(tmp_path / "l.csv", NAMES)
    assert (case.name, case.image, case.further) == ("t", tmp_path / "t.nii", (tmp_path / "a.nii",))


def test_a_json_list_may_hold_the_images_as_an_array(tmp_path: Path) -> None:
    entries = [
        {"image": ["t.nii", "a.nii"], "label": "l.nii"},
        {"image": "u.nii", "image:ADC": "b.nii", "label": "m.nii"},
    ]
    (tmp_path / "l.json").write_text(json.dumps(entries), encoding="utf-8")
    found = read_list(tmp_path / "l.json", NAMES)
    assert [case.further[0].name for case in found] == ["a.nii", "b.nii"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"image": "t.nii", "label": "l.nii"}, "lacks the image for ADC"),
        ({"image": ["t.nii"], "label": "l.nii"}, "gives 1 images, but the channels are T2, ADC"),
        ({"image:ADC": "a.nii", "label": "l.nii"}, "lacks an image or a label"),
    ],
)
def test_an_entry_without_an_image_for_a_channel_is_an_error(
    tmp_path: Path, entry: dict[str, Any], said: str
) -> None:
    (tmp_path / "l.json").write_text(json.dumps([entry]), encoding="utf-8")
    with pytest.raises(DataError, match=f"Entry 1 of the list l.json {said}"):
        read_list(tmp_path / "l.json", NAMES)


def test_a_list_of_4d_images_has_one_column(tmp_path: Path) -> None:
    touch(tmp_path, "t.nii", "l.nii")
    (tmp_path / "l.csv").write_text("image,label,split\nt.nii,l.nii,train\n", encoding="utf-8")
    (case,) = find_cases(site(list="l.csv", channel=[1, 0], split=None), tmp_path, 1, NAMES).train
    assert files(case, tmp_path) == [("t.nii", 1), ("t.nii", 0)]


def test_every_channel_of_a_loaded_case_is_on_the_grid_of_the_first(tmp_path: Path) -> None:
    path = write_two_channel_federation(tmp_path)
    config = load_config(path)
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        sites = load_sites(config.model_copy(update={"cache": cache}), find_all_cases(config))
        (volume,) = sites[0].train
        images = [
            sitk.ReadImage(str(tmp_path / "s0" / kind / f"{volume.name}.nii.gz"))
            for kind in ("images", "adc")
        ]
        expected = prepare(images[0], config.preprocessing, images[1:]).array
        assert volume.image.shape == (2, *volume.label.shape)
        np.testing.assert_array_equal(volume.image.numpy(), expected)
        second = volume.image[1]
        assert second[volume.label == 1].mean() > second[volume.label == 0].mean() + 1


def test_images_of_one_case_that_lie_apart_are_an_error_with_the_cases_name(tmp_path: Path) -> None:
    path = write_two_channel_federation(tmp_path)
    for moved in (tmp_path / "s1" / "adc").iterdir():
        image = sitk.ReadImage(str(moved))
        image.SetOrigin((900.0, 0.0, 0.0))
        sitk.WriteImage(image, str(moved))
    config = load_config(path)
    said = r"Case case-\d of site s1: The image for ADC lies beside the image for T2"
    with pytest.raises(DataError, match=said):
        load_sites(config, find_all_cases(config))
    report = check_data(config)
    assert [case.problem is None for case in report.sites[0].cases] == [True] * 3
    for case in report.sites[1].cases:
        assert "The image for ADC lies beside the image for T2" in str(case.problem)


def test_the_check_remarks_on_another_grid_and_a_constant_image(tmp_path: Path) -> None:
    path = write_two_channel_federation(tmp_path)
    constant = sitk.ReadImage(str(tmp_path / "s0" / "adc" / "case-0.nii.gz")) * 0
    sitk.WriteImage(constant, str(tmp_path / "s0" / "adc" / "case-0.nii.gz"))
    first, second, _ = check_data(load_config(path)).sites[0].cases
    assert first.remarks == (
        "all voxels of the image for ADC are equal.",
        "the image for ADC is resampled onto that for T2: another size.",
    )
    assert second.remarks == first.remarks[1:]


def test_a_further_image_at_two_sites_is_refused(tmp_path: Path) -> None:
    path = write_two_channel_federation(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"s1/adc"', '"s0/adc"'), encoding="utf-8")
    with pytest.raises(DataError, match="belongs to two sites, s0 and s1"):
        find_all_cases(load_config(path))
