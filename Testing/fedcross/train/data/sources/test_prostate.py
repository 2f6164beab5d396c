"""Every public data set in its layouts: the voxels and the positions that are read are exact."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import dataset_trees
from fedcross.errors import ConfigError, DataError
from fedcross.train.config.configuration import parse_config
from fedcross.train.config.site import SiteConfig
from fedcross.train.data.cases import find_cases
from fedcross.train.data.reading import read_case
from fedcross.train.data.splits import SiteCases


def site(root: Path, dataset: str, split: object, **options: object) -> SiteConfig:
    values = {"name": "north", "dataset": dataset, "root": root.name, "split": split}
    return SiteConfig.model_validate({**values, **options})


def found(root: Path, dataset: str, split: object, **options: object) -> SiteCases:
    return find_cases(site(root, dataset, split, **options), root.parent, seed=1)


def check(cases: SiteCases, numbers: dict[str, int], label_map: dict[int, int]) -> None:
    """Check names, voxels and origin of all cases; `numbers` maps a name to the case's number."""
    everybody = [case for _, part in cases.parts() for case in part]
    assert sorted(case.name for case in everybody) == sorted(numbers)
    for case in everybody:
        number = numbers[case.name]
        array, truth = dataset_trees.make_case(number)
        image, label = read_case(case, label_map, "north")
        assert np.array_equal(sitk.GetArrayFromImage(image), array), case.name
        assert np.array_equal(label, truth > 0), case.name
        assert np.allclose(image.GetOrigin(), (number - 3, 7, -20), atol=1e-3)


def test_the_decathlons_t2_and_whole_gland_are_read(tmp_path: Path) -> None:
    root = dataset_trees.write_msd(tmp_path / "Task05_Prostate")
    config = site(root, "msd-prostate", (1, 1, 1))
    assert (config.channel, config.label_map) == (0, {1: 1, 2: 1})
    check(
        found(root, "msd-prostate", (1, 1, 1)),
        {f"prostate_{n:02d}": n for n in range(3)},
        config.label_map,
    )


def test_nci_isbi_labels_fit_their_images_in_every_stored_form(tmp_path: Path) -> None:
    root = dataset_trees.write_nci_isbi_2013(tmp_path / "NCI")
    config = site(root, "nci-isbi-2013", (2, 1, 1))
    cases = find_cases(config, tmp_path, seed=1)
    for case in (*cases.train, *cases.validation, *cases.test):
        number = int("0123"["1562".index(case.name[-1])])
        array, truth = dataset_trees.make_case(number)
        image, label = read_case(case, config.label_map, "north")
        assert np.array_equal(sitk.GetArrayFromImage(image), array)
        if case.name.startswith("Prostate3T"):  # another order of axes
            assert np.array_equal(label, truth > 0)
        else:  # slices of twice the thickness: every second slice is unchanged
            assert np.array_equal(label[::2], truth[::2] > 0)
            assert label.sum() >= truth[::2].sum()
    assert sorted(c.name for c in (*cases.train, *cases.validation, *cases.test)) == [
        "Prostate3T-01-0001",
        "Prostate3T-02-0005",
        "ProstateDx-01-0006",
        "ProstateDx-03-0002",
    ]


def test_a_corrected_label_replaces_the_first_one(tmp_path: Path) -> None:
    root = dataset_trees.write_nci_isbi_2013(tmp_path / "NCI")
    first = root / "Training" / "ProstateDx-01-0006.nrrd"
    dataset_trees.write(dataset_trees.to_image(np.zeros((2, 2, 2), np.uint8)), first)
    cases = found(root, "nci-isbi-2013", (4, 0, 0))
    (case,) = (case for case in cases.train if case.name == "ProstateDx-01-0006")
    assert case.label.name == "ProstateDx-01-0006_correctedLabels.nrrd"


def test_promise12s_test_data_are_not_used_and_noted(tmp_path: Path) -> None:
    root = dataset_trees.write_promise12(tmp_path / "PROMISE12")
    cases = found(root, "promise12", (1, 1, 1))
    check(cases, {f"Case{n:02d}": n for n in range(3)}, {1: 1})
    assert cases.notes == (
        "Not used, because without segmentation: 1 images of PROMISE12's test data.",
    )


@pytest.mark.parametrize("masks", ["gland", "zones"])
def test_prostatex_masks_are_paired_with_the_series_they_were_drawn_on(
    tmp_path: Path, masks: str
) -> None:
    root = dataset_trees.write_prostatex(tmp_path / "PROSTATEx-all", masks)
    options = {}
    if masks == "zones":  # without a list, both axial T2 series of patient 1 are possible
        with pytest.raises(DataError, match=r"Case ProstateX-0001 has 2 DICOM series .*4 .*10 "):
            found(root, "prostatex", (1, 0, 1))
        options = {"exclude": ["ProstateX-0001"]}
    config = site(root, "prostatex", (1, 0, 0), **options)
    cases = find_cases(config, tmp_path, seed=1)
    everybody = {case.name: case for _, part in cases.parts() for case in part}
    assert list(everybody) in (["ProstateX-0000"], ["ProstateX-0000", "ProstateX-0001"])
    for name, case in everybody.items():
        number = int(name[-4:])
        array, truth = dataset_trees.make_case(number)
        image, label = read_case(case, config.label_map, "north")
        assert np.array_equal(sitk.GetArrayFromImage(image), array + 300 * number)
        assert np.array_equal(label, truth > 0)
    assert cases.notes == ("Not used, because without label: 1 patients of PROSTATEx.",)


def test_of_two_series_the_one_with_the_masks_size_is_chosen(tmp_path: Path) -> None:
    root = dataset_trees.write_prostatex(tmp_path / "P", "zones")
    (folder,) = (root / "PROSTATEx" / "ProstateX-0001").glob("*/10.*")
    (folder / "1-06.dcm").unlink()  # another number of slices than the mask
    cases = found(root, "prostatex", (2, 0, 0))
    (case,) = (case for case in cases.train if case.name == "ProstateX-0001")
    assert case.image.name.startswith("4.000000")


@pytest.mark.parametrize(
    ("dataset", "images", "labels", "name"),
    [
        ("msd-prostate", "imagesTr", "labelsTr", "prostate_00"),
        ("nci-isbi-2013", "image", "label", "Prostate3T-01-0001"),
        ("promise12", "image", "label", "Case00"),
        ("prostatex", "image", "label", "ProstateX-0000"),
    ],
)
def test_each_data_set_is_also_read_in_the_layout_of_the_authors_code(
    tmp_path: Path, dataset: str, images: str, labels: str, name: str
) -> None:
    names = {name: 0, f"{name[:-1]}7": 7}
    root = dataset_trees.write_preprocessed(tmp_path / "data", names, images, labels)
    check(found(root, dataset, (1, 0, 1)), names, {1: 1})


@pytest.mark.parametrize(
    ("dataset", "counts", "total"),
    [
        ("msd-prostate", (19, 3, 10), 32),
        ("nci-isbi-2013", (48, 8, 24), 80),
        ("promise12", (30, 5, 15), 50),
        ("prostatex", (122, 20, 62), 204),
    ],
)
def test_the_split_midl2023_has_the_papers_numbers(
    tmp_path: Path, dataset: str, counts: tuple[int, int, int], total: int
) -> None:
    config = site(tmp_path, dataset, "midl2023")
    assert config.split == counts
    assert sum(counts) == total
    assert SiteConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("nci-isbi-2013", "holds no label such as Prostate3T"),
        ("promise12", "holds no file such as Case00_segmentation"),
        ("prostatex", "holds no mask in mask_prostate/ or named Seg-0000"),
        ("msd-prostate", r"has no dataset\.json"),
    ],
)
def test_a_folder_of_something_else_is_refused_with_a_hint(
    tmp_path: Path, dataset: str, message: str
) -> None:
    root = dataset_trees.write_preprocessed(tmp_path / "else", {"anna": 0}, "pictures", "drawings")
    with pytest.raises(DataError, match=f"^Site north: else {message}.*Set root to"):
        found(root, dataset, (1, 0, 0))


def test_labels_without_images_are_refused(tmp_path: Path) -> None:
    root = dataset_trees.write_nci_isbi_2013(tmp_path / "NCI")
    (root / "manifest-123").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="holds no patient's folder such as Prostate3T-01-0001"):
        found(root, "nci-isbi-2013", (1, 0, 0))


def test_unreadable_dicom_is_reported_with_its_case(tmp_path: Path) -> None:
    root = dataset_trees.write_nci_isbi_2013(tmp_path / "NCI")
    for path in root.glob("manifest-123/Prostate-3T/Prostate3T-01-0001/*/*/*.dcm"):
        path.write_bytes(b"no DICOM")
    cases = found(root, "nci-isbi-2013", (4, 0, 0))
    (case,) = (case for case in cases.train if case.name == "Prostate3T-01-0001")
    with pytest.raises(
        DataError, match=r"^Case Prostate3T-01-0001 of site north: .* unreadable files \(6\)"
    ):
        read_case(case, {1: 1, 2: 1}, "north")


def config_values(**site_options: object) -> dict[str, object]:
    return {
        "name": "P",
        "preprocessing": {"spacing_mm": [1, 1, 1], "patch_size": [32, 32, 32]},
        "structures": [{"name": "PZ", "label": 1}, {"name": "TZ", "label": 2}],
        "sites": [
            {
                "name": "n",
                "dataset": "msd-prostate",
                "root": ".",
                "split": "midl2023",
                **site_options,
            }
        ],
    }


def test_a_label_map_that_would_train_a_structure_as_background_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no value for TZ \(2\), which would be trained"):
        parse_config(config_values(), source="c")
    parse_config(config_values(label_map={1: 1, 2: 2}), source="c")
    config = parse_config(config_values(label_map={1: 1, 2: 0}, labels_missing=["TZ"]), source="c")
    assert config.sites[0].missing(config.structures) == (2,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "promise21"}, "dataset 'promise21' is not known; did you mean promise12"),
        ({"dataset": "x"}, "known are msd, nnunet, msd-prostate"),
        ({"split": "midl2024"}, "split = 'midl2024' is not known .*; known are midl2023"),
        ({"dataset": "msd", "split": "midl2023"}, "known are none, or give numbers"),
        ({"root": None}, "needs either dataset and root"),
        ({"list": "l.csv"}, "needs either dataset and root"),
        ({"patient": "("}, "patient is not a valid regular expression"),
        ({"label_map": {1: 1, 2: 2}, "labels_missing": ["XZ"]}, "names 'XZ'.*PZ, TZ"),
        ({"label_map": {1: 1, 2: 2}, "labels_missing": ["TZ"]}, "names TZ, but its label_map"),
        ({"label_map": {}, "labels_missing": ["PZ", "TZ"]}, "names every structure"),
    ],
)
def test_an_error_in_a_sites_options_names_it(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(config_values(**options), source="c")
