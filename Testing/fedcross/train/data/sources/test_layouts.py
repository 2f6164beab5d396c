import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import dataset_trees
from fedcross.errors import DataError
from fedcross.train.config.site import SiteConfig
from fedcross.train.data.cases import find_cases
from fedcross.train.data.reading import read_case
from fedcross.train.data.splits import SiteCases


def found(root: Path, dataset: str, **options: object) -> SiteCases:
    values = {"name": "north", "dataset": dataset, "root": root.name, "split": (1, 1, 1)}
    return find_cases(SiteConfig.model_validate({**values, **options}), root.parent, seed=1)


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    return dataset_trees.write_msd(tmp_path / "Task05_Prostate")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return dataset_trees.write_nnunet(tmp_path / "Dataset100_Prostate", channels=2)


def test_the_chosen_channel_of_a_decathlon_folder_is_read(decathlon: Path) -> None:
    for channel in (0, 1):
        cases = found(decathlon, "msd", channel=channel)
        everybody = [*cases.train, *cases.validation, *cases.test]
        assert sorted(case.name for case in everybody) == [f"prostate_{n:02d}" for n in range(3)]
        for case in everybody:
            number = int(case.name[-2:])
            array, label = dataset_trees.make_case(number, zones=2)
            image, values = read_case(case, {1: 1, 2: 2}, "north")
            expected = array if channel == 0 else array[::-1] * 3
            assert np.array_equal(sitk.GetArrayFromImage(image), expected)
            assert np.array_equal(values, label)
            assert np.allclose(image.GetOrigin(), (number - 3, 7, -20), atol=1e-4)
            assert np.allclose(image.GetSpacing(), dataset_trees.SPACING_MM)


def test_several_channels_require_the_option_channel(decathlon: Path, raw: Path) -> None:
    with pytest.raises(DataError, match=r"channels 0 \(T2\), 1 \(ADC\), got channel = None"):
        found(decathlon, "msd")
    with pytest.raises(DataError, match=r"channels 0 \(C0\), 1 \(C1\), got channel = 2"):
        found(raw, "nnunet", channel=2)


def test_files_that_dataset_json_does_not_list_are_noted(decathlon: Path) -> None:
    dataset_trees.write_pair(
        decathlon / "imagesTr" / "extra.nii.gz", decathlon / "labelsTr" / "extra.nii.gz", 5
    )
    assert found(decathlon, "msd", channel=0).notes == (
        "Not in dataset.json of Task05_Prostate, therefore not used: extra.nii.gz.",
    )


def test_a_listed_case_without_files_is_an_error_unless_it_is_excluded(decathlon: Path) -> None:
    (decathlon / "labelsTr" / "prostate_01.nii.gz").unlink()
    with pytest.raises(DataError, match=r"Case prostate_01 of site north: prostate_01.* does not"):
        found(decathlon, "msd", channel=0)
    options = {"channel": 0, "exclude": ["prostate_01"], "split": (1, 0, 1)}
    assert len(found(decathlon, "msd", **options).test) == 1


def test_every_channel_of_an_nnunet_case_is_a_file(raw: Path) -> None:
    (case,) = found(raw, "nnunet", channel=1).train
    assert case.image.name == f"{case.name}_0001.nrrd"
    image, label = read_case(case, {1: 1}, "north")
    array, truth = dataset_trees.make_case(int(case.name[-3:]))
    assert np.array_equal(sitk.GetArrayFromImage(image), array + 1000)
    assert np.array_equal(label, truth)


def test_paths_in_an_nnunet_dataset_json_are_used(raw: Path) -> None:
    listed = {
        f"c{n}": {
            "images": [f"imagesTr/case_{n:03d}_000{c}.nrrd" for c in range(2)],
            "label": f"labelsTr/case_{n:03d}.nrrd",
        }
        for n in range(3)
    }
    edit(raw / "dataset.json", dataset=listed)
    (case,) = found(raw, "nnunet", channel=1).train
    assert case.image.name == f"case_00{case.name[1]}_0001.nrrd"
    edit(raw / "dataset.json", dataset={**listed, "c9": {"images": ["x"], "label": "y"}})
    with pytest.raises(DataError, match="does not give every case its images and its label"):
        found(raw, "nnunet", channel=1)


def test_an_nnunet_folder_of_version_1_is_read(tmp_path: Path) -> None:
    root = dataset_trees.write_nnunet(tmp_path / "Task501_P")
    for path in [*root.rglob("*.nrrd")]:
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path.with_suffix(".nii.gz")))
        path.unlink()
    content = {"modality": {"0": "T2"}, "labels": {"0": "background", "1": "prostate"}}
    (root / "dataset.json").write_text(json.dumps({**content, "numTraining": 4}))
    cases = found(root, "nnunet")
    assert cases.train[0].name.startswith("case_00")
    assert cases.notes == ("dataset.json of Task501_P gives 4 training cases, found 3.",)


@pytest.mark.parametrize(
    ("dataset", "change", "message"),
    [
        ("msd", lambda root: (root / "dataset.json").unlink(), "has no dataset.json, so it is not"),
        ("msd", lambda root: (root / "dataset.json").write_text("{"), "cannot be read"),
        ("msd", lambda root: (root / "dataset.json").write_text("[]"), "is not a JSON object"),
        (
            "msd",
            lambda root: edit(root / "dataset.json", training=3),
            "does not list its training cases",
        ),
        ("nnunet", lambda root: None, r"imagesTr of Task05_Prostate holds no file that ends with"),
    ],
)
def test_a_folder_of_another_layout_is_an_error_that_names_the_site(
    decathlon: Path, dataset: str, change: object, message: str
) -> None:
    change(decathlon)  # type: ignore[operator]
    with pytest.raises(DataError, match=f"^Site north: .*{message}"):
        found(decathlon, dataset, channel=0)


def test_an_absent_folder_is_named_without_its_path(tmp_path: Path) -> None:
    for dataset in ("msd", "nnunet", "msd-prostate", "nci-isbi-2013", "promise12", "prostatex"):
        with pytest.raises(
            DataError, match="Site north: A site's data folder gone does not exist"
        ) as error:
            found(tmp_path / "gone", dataset)
        assert str(tmp_path) not in str(error.value)


HIPPOCAMPUS = Path(__file__).resolve().parents[5] / "shared" / "data" / "msd_hippocampus"


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason="the volumes are not on this machine")
def test_the_real_hippocampus_is_read_equally_from_every_layout(tmp_path: Path) -> None:
    decathlon, raw = tmp_path / "Task04_Hippocampus", tmp_path / "Dataset004_Hippocampus"
    for root, suffix in ((decathlon, ""), (raw, "_0000")):
        for kind, end in (("images", suffix), ("labels", "")):
            (root / f"{kind}Tr").mkdir(parents=True)
            for path in (HIPPOCAMPUS / kind).glob("*.nii.gz"):
                name = path.name.removesuffix(".nii.gz")
                (root / f"{kind}Tr" / f"{name}{end}.nii.gz").symlink_to(path)
    names = sorted(path.name for path in (HIPPOCAMPUS / "images").glob("*.nii.gz"))
    names.append("hippocampus_999.nii.gz")  # the original list also has cases without files here
    content = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names],
    }
    (decathlon / "dataset.json").write_text(json.dumps(content))
    v2 = {"channel_names": {"0": "MRI"}, "labels": {"background": 0}, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps({**v2, "numTraining": 24}))
    plain = SiteConfig.model_validate(
        {"name": "north", "images": "images", "labels": "labels", "split": (16, 4, 4)}
    )
    expected = find_cases(plain, HIPPOCAMPUS, seed=1)
    with pytest.raises(DataError, match=r"Case hippocampus_999 of site north: .* does not exist"):
        found(decathlon, "msd", split=(16, 4, 4))
    for cases in (
        found(decathlon, "msd", split=(16, 4, 4), exclude=["hippocampus_999"]),
        found(raw, "nnunet", split=(16, 4, 4)),
    ):
        assert cases.names() == expected.names()
        for ours, theirs in zip(cases.test, expected.test, strict=True):
            image, label = read_case(ours, {1: 1, 2: 2}, "north")
            other, truth = read_case(theirs, {1: 1, 2: 2}, "north")
            assert np.array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(other))
            assert np.array_equal(label, truth)
            assert set(np.unique(label)) == {0, 1, 2}
