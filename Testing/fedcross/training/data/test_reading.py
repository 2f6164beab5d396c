from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import dataset_trees
from fedcross.errors import DataError
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.reading import read_case, read_channel
from fedcross.training.data.volumes import CaseFiles
from tiny_federation import write_array, write_case_files


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 20, (6, 7, 8)).astype(np.float32)


def test_label_values_are_mapped_by_the_sites_label_map(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.uint8)
    label[0], label[1], label[2] = 1, 2, 7
    _, mapped = read_case(write_case_files(tmp_path, image, label), {1: 1, 2: 1, 7: 0}, "north")
    assert [np.unique(mapped[plane]).tolist() for plane in range(4)] == [[1], [1], [0], [0]]


def test_a_value_that_is_not_in_the_label_map_is_named(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.uint8)
    label[0, 0, 0] = 3
    with pytest.raises(
        DataError, match=r"Case anna of site north: the label has the unknown values 3; .*0, 1"
    ):
        read_case(write_case_files(tmp_path, image, label), {1: 1}, "north")


def test_a_label_value_that_is_not_an_integer_is_named(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.float32)
    label[0, 0, 0] = 0.5
    with pytest.raises(DataError, match=r"the label has the unknown values 0\.5") as caught:
        read_case(write_case_files(tmp_path, image, label), {1: 1}, "north")
    assert "choose a threshold" in caught.value.hint


def test_a_negative_value_can_be_mapped(tmp_path: Path, image: np.ndarray) -> None:
    label = np.zeros(image.shape, np.int8)
    label[0] = -1  # what a program with 8 bits and a sign makes of 255
    case = write_case_files(tmp_path, image, label)
    values = {"name": "n", "images": "i", "labels": "l", "split": [1, 0, 0], "label_map": {"-1": 1}}
    site = SiteConfig.model_validate(values)
    _, mapped = read_case(case, site.label_map, "north")
    assert [int(plane.max()) for plane in mapped] == [1, 0, 0, 0, 0, 0]


def test_image_and_label_of_different_shapes_are_refused(tmp_path: Path, image: np.ndarray) -> None:
    case = write_case_files(tmp_path, image, np.zeros((6, 7, 9), np.uint8))
    with pytest.raises(DataError, match=r"anna of site north.*\(8, 7, 6\) voxels.*\(9, 7, 6\)"):
        read_case(case, {1: 1}, "north")


@pytest.mark.parametrize(("what", "by"), [("Origin", 1.0), ("Spacing", 0.1)])
def test_image_and_label_of_different_origin_or_spacing_are_refused(
    tmp_path: Path, image: np.ndarray, what: str, by: float
) -> None:
    case = write_case_files(tmp_path, image, np.zeros(image.shape, np.uint8))
    label = sitk.ReadImage(str(case.label))
    getattr(label, f"Set{what}")([value + by for value in getattr(label, f"Get{what}")()])
    sitk.WriteImage(label, str(case.label))
    with pytest.raises(DataError, match=f"anna of site north: the image's {what.lower()} is"):
        read_case(case, {1: 1}, "north")


def test_rounding_in_the_label_files_header_is_accepted(tmp_path: Path, image: np.ndarray) -> None:
    case = write_case_files(tmp_path, image, np.zeros(image.shape, np.uint8))
    label = sitk.ReadImage(str(case.label))
    label.SetOrigin([0.01, -0.01, 0.02])
    sitk.WriteImage(label, str(case.label))
    assert read_case(case, {1: 1}, "north")[1].shape == image.shape


def test_the_error_of_an_unusable_file_names_its_case(tmp_path: Path, image: np.ndarray) -> None:
    image[0, 0, 0] = np.nan
    case = write_case_files(tmp_path, image, np.zeros(image.shape, np.uint8))
    with pytest.raises(DataError, match=r"Case anna of site north: .*NaN"):
        read_case(case, {1: 1}, "north")
    case.label.write_bytes(b"no image")
    write_array(case.image, np.ones((3, 3, 3), np.float32))
    with pytest.raises(DataError, match="Case anna of site north: "):
        read_case(case, {1: 1}, "north")


def four_dimensional(path: Path, channels: int = 2) -> list[np.ndarray]:
    arrays = [
        np.random.default_rng(c).normal(0, 1, (3, 4, 5)).astype("f4") for c in range(channels)
    ]
    dataset_trees.write(sitk.JoinSeries([dataset_trees.to_image(a) for a in arrays]), path)
    return arrays


@pytest.mark.parametrize("name", ["i.nii.gz", "i.nii", "i.nrrd", "i.mha"])
def test_one_channel_of_several_is_read_with_its_geometry(tmp_path: Path, name: str) -> None:
    arrays = four_dimensional(tmp_path / name)
    for channel, array in enumerate(arrays):
        image = read_channel(tmp_path / name, channel)
        assert np.array_equal(sitk.GetArrayFromImage(image), array)
        expected = dataset_trees.to_image(array)
        assert np.allclose(image.GetDirection(), expected.GetDirection(), atol=1e-6)
        assert np.allclose(image.GetOrigin(), expected.GetOrigin(), atol=1e-5)


def test_a_channel_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    four_dimensional(tmp_path / "i.nrrd")
    with pytest.raises(DataError, match=r"i\.nrrd has 2 channels, got channel = 2.*at most 1"):
        read_channel(tmp_path / "i.nrrd", 2)
    with pytest.raises(DataError, match="4D image of 2 volumes"):
        read_channel(tmp_path / "i.nrrd", None)


def test_a_3d_image_has_one_channel(tmp_path: Path, image: np.ndarray) -> None:
    write_array(tmp_path / "i.nii.gz", image)
    for channel in (None, 0):
        found = sitk.GetArrayFromImage(read_channel(tmp_path / "i.nii.gz", channel))
        assert np.array_equal(found, image)
    with pytest.raises(DataError, match="has 1 channels, got channel = 1"):
        read_channel(tmp_path / "i.nii.gz", 1)


@pytest.mark.parametrize("name", ["i.nii.gz", "i.nrrd"])
def test_nan_in_a_channel_is_refused(tmp_path: Path, name: str) -> None:
    array = np.zeros((3, 4, 5), np.float32)
    array[1, 2, 3] = np.nan
    pictures = [dataset_trees.to_image(each) for each in (array, np.zeros_like(array))]
    dataset_trees.write(sitk.JoinSeries(pictures), tmp_path / name)
    with pytest.raises(DataError, match=r"1 voxels that are not finite numbers \(NaN"):
        read_channel(tmp_path / name, 0)


def test_a_4d_image_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.nii"
    four_dimensional(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"i\.nii is damaged or cut short"):
        read_channel(path, 0)


def test_a_header_without_its_voxel_file_is_refused(tmp_path: Path) -> None:
    dataset_trees.write_promise12(tmp_path, cases=1)
    case = CaseFiles(
        "Case00",
        tmp_path / "TrainingData_Part1" / "Case00.mhd",
        tmp_path / "TrainingData_Part1" / "Case00_segmentation.mhd",
    )
    (tmp_path / "TrainingData_Part1" / "Case00.raw").unlink()
    with pytest.raises(
        DataError, match=r"^Case Case00 of site north: Case00\.raw, .* is not there"
    ):
        read_case(case, {1: 1}, "north")


def test_incomplete_dicom_and_two_series_in_a_folder_are_refused(tmp_path: Path) -> None:
    dataset_trees.write_nci_isbi_2013(tmp_path)
    (folder,) = tmp_path.glob("manifest-123/*/Prostate3T-01-0001/*/*")
    label = tmp_path / "Training" / "Prostate3T-01-0001.nrrd"
    case = CaseFiles("Prostate3T-01-0001", folder, label)
    (folder / "1-03.dcm").rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"0001 of site north: The slices .*missing"):
        read_case(case, {1: 1, 2: 1}, "north")
    (tmp_path / "away").rename(folder / "1-03.dcm")
    last = folder / "1-06.dcm"
    content = last.read_bytes()
    last.write_bytes(content[:-100])
    with pytest.raises(
        DataError, match=r"of site north: The series .* unreadable files \(1\); .* is 1-06\.dcm"
    ):
        read_case(case, {1: 1, 2: 1}, "north")
    last.write_bytes(content)
    array = dataset_trees.make_case(4)[0]
    dataset_trees.write_dicom(dataset_trees.to_image(array), folder / "x", 9, "t2", "9")
    for slice_ in (folder / "x").iterdir():
        slice_.rename(folder / f"9-{slice_.name}")
    with pytest.raises(DataError, match=r"0001 of site north: .*holds 2 volumes"):
        read_case(case, {1: 1, 2: 1}, "north")


def test_label_values_next_to_whole_numbers_are_those_numbers(
    tmp_path: Path, image: np.ndarray
) -> None:
    label = np.zeros(image.shape, np.float64)
    label[0], label[1], label[2] = 1.0000001, 0.9995, -0.0002
    _, mapped = read_case(write_case_files(tmp_path, image, label), {1: 1}, "north")
    assert [np.unique(mapped[plane]).tolist() for plane in range(4)] == [[1], [1], [0], [0]]
    label[3] = 1.01
    with pytest.raises(DataError, match=r"unknown values .*1\.01"):
        read_case(write_case_files(tmp_path, image, label), {1: 1}, "north")


@pytest.mark.parametrize("kind", ["i1", "u1", "i4", "u8", "f4", "f8"])
def test_a_label_of_any_number_type_is_read(tmp_path: Path, image: np.ndarray, kind: str) -> None:
    label = np.zeros(image.shape, kind)
    label[0] = 2
    write_array(tmp_path / "i.nrrd", image)
    write_array(tmp_path / "l.nrrd", label)
    case = CaseFiles("anna", tmp_path / "i.nrrd", tmp_path / "l.nrrd")
    _, mapped = read_case(case, {2: 1}, "north")
    np.testing.assert_array_equal(mapped, label == 2)


def test_a_4d_image_without_channel_is_refused_with_what_to_set(tmp_path: Path) -> None:
    four_dimensional(tmp_path / "i.nii.gz")
    with pytest.raises(DataError, match=r"4D image of 2 volumes.*set the site's channel"):
        read_channel(tmp_path / "i.nii.gz", None)


def test_a_volume_in_several_channels_that_change_fastest_is_read(tmp_path: Path) -> None:
    arrays = np.stack([np.full((3, 4, 5), value, np.int16) for value in (3, 4)], axis=-1)
    header = (
        "NRRD0004\ntype: short\ndimension: 4\nspace: LPS\nsizes: 2 5 4 3\nendian: little\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\n"
        "space origin: (0,0,0)\nencoding: raw\n\n"
    )
    (tmp_path / "i.nrrd").write_bytes(header.encode() + arrays.astype("<i2").tobytes())
    for channel, value in enumerate((3, 4)):
        image = read_channel(tmp_path / "i.nrrd", channel)
        assert np.unique(sitk.GetArrayFromImage(image)).tolist() == [value]
