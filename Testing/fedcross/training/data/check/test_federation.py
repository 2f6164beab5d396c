"""The check of a federation's data: its figures, errors and remarks."""

import gzip
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

import volume_files
from fedcross.training.config.file import load_config
from fedcross.training.config.source import load_source
from fedcross.training.data.check.case import voxels_sha256
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.check.overview import HEADING, overview
from fedcross.training.data.check.report import PICTURES, CaseReport, DataReport
from tiny_federation import SIZE, SPACING_MM, write_array, write_federation

VOXEL_ML = 2.0 * 2.0 * 2.5 / 1000


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    """Sites s0 and s1 of three cases each; the configuration's path."""
    return write_federation(tmp_path)


def check(config: Path) -> DataReport:
    return check_data(load_config(config))


def case_of(report: DataReport, site: int, name: str) -> CaseReport:
    (found,) = (case for case in report.sites[site].cases if case.name == name)
    return found


def voxels(config: Path, site: str, kind: str, case: int) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path(config, site, kind, case))))


def path(config: Path, site: str, kind: str, case: int) -> Path:
    return config.parent / site / kind / f"case-{case}.nii.gz"


def edit(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_report_of_correct_data_has_the_measured_figures(federation: Path) -> None:
    steps: list[tuple[int, int]] = []

    class StepRecorder:
        def progress(self, done: int, total: int, stage: str) -> None:
            steps.append((done, total))

        def stage(self, name: str, message: str) -> None: ...

        def log(self, message: str) -> None: ...

    report = check_data(load_config(federation), StepRecorder())
    assert report.problems() == report.remarks() == []
    assert steps == [(done, 6) for done in range(1, 7)]
    for index, site in enumerate(report.sites):
        assert sorted(case.part for case in site.cases) == ["test", "train", "validation"]
        for number in range(len(site.cases)):
            image = voxels(federation, site.name, "images", number)
            blob = int(voxels(federation, site.name, "labels", number).sum())
            found = case_of(report, index, f"case-{number}")
            assert (found.size, found.spacing_mm) == (SIZE, SPACING_MM)
            assert found.percentiles == tuple(np.percentile(image, (1, 25, 50, 75, 99)).round(4))
            assert found.values == {0: image.size - blob, 1: blob}
            assert found.volumes_ml == {"Blob": pytest.approx(blob * VOXEL_ML, abs=1e-3)}
            assert found.figures is not None
            assert (found.figures.size, found.figures.spacing_mm) == (SIZE, SPACING_MM)
            assert found.record()["figures"] == found.figures.model_dump(mode="json")


def test_the_overview_has_ranges_over_a_sites_cases(federation: Path) -> None:
    image = voxels(federation, "s1", "images", 1)
    label = voxels(federation, "s1", "labels", 1)
    write_array(path(federation, "s1", "images", 1), image[:-2], (2.0, 2.0, 3.0))
    write_array(path(federation, "s1", "labels", 1), label[:-2], (2.0, 2.0, 3.0))
    first, second = (dict(zip(HEADING, row, strict=True)) for row in overview(check(federation)))
    assert (first["site"], first["cases"], first["split"]) == ("s0", "3", "1/1/1")
    assert (first["voxels"], first["spacing, mm"]) == ("36 x 20 x 18", "2 x 2 x 2.5")
    assert (second["voxels"], second["spacing, mm"]) == ("36 x 20 x 16..18", "2 x 2 x 2.5..3")
    assert (second["label values"], second["errors"]) == ("0, 1", "none")


def remove_label(config: Path) -> None:
    path(config, "s0", "labels", 1).unlink()


def remove_image(config: Path) -> None:
    path(config, "s0", "images", 1).unlink()


def truncate_image(config: Path) -> None:
    file = path(config, "s0", "images", 1)
    file.write_bytes(file.read_bytes()[:2000])


def replace_image_by_text(config: Path) -> None:
    path(config, "s0", "images", 1).write_text("not a picture")


def add_nan(config: Path) -> None:
    image = voxels(config, "s0", "images", 1).astype(np.float32)
    image[0, 0, 0] = np.nan
    write_array(path(config, "s0", "images", 1), image)


def change_label_value(config: Path) -> None:
    label = voxels(config, "s0", "labels", 1)
    write_array(path(config, "s0", "labels", 1), label * np.uint8(4))


def crop_label(config: Path) -> None:
    write_array(path(config, "s0", "labels", 1), voxels(config, "s0", "labels", 1)[:, :, 1:])


def change_label_spacing(config: Path) -> None:
    label = voxels(config, "s0", "labels", 1)
    write_array(path(config, "s0", "labels", 1), label, (2.0, 2.0, 2.6))


def move_label(config: Path) -> None:
    moved = sitk.ReadImage(str(path(config, "s0", "labels", 1)))
    moved.SetOrigin((1.0, 0.0, 0.0))
    sitk.WriteImage(moved, str(path(config, "s0", "labels", 1)))


def rotate_label(config: Path) -> None:
    """Rotate the label by 0.01 rad, which is beyond the tolerance."""
    label = sitk.ReadImage(str(path(config, "s0", "labels", 1)))
    c, s = np.cos(0.01), np.sin(0.01)
    label.SetDirection((c, -s, 0, s, c, 0, 0, 0, 1))
    sitk.WriteImage(label, str(path(config, "s0", "labels", 1)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_label, "has an image but no label. Add the missing file, or name the case in"),
        (remove_image, "has a label but no image. Add the missing file, or name the case in"),
        (truncate_image, "is damaged or cut short"),
        (replace_image_by_text, "is not an image that can be read"),
        (add_nan, "1 voxels that are not finite numbers"),
        (change_label_value, "the label has the unknown values 4; "),
        (crop_label, "the image has (36, 20, 18) voxels, the label (35, 20, 18)"),
        (
            change_label_spacing,
            "the image's spacing is (2.0, 2.0, 2.5), the label's (2.0, 2.0, 2.6)",
        ),
        (move_label, "the image's origin is (0.0, 0.0, 0.0), the label's (1.0, 0.0, 0.0)"),
        (rotate_label, "the image's direction is (1.0, 0.0, 0.0, 0.0, 1.0"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_error_of_a_case_names_it_and_all_other_cases_are_checked(
    federation: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(federation)
    report = check(federation)
    (problem,) = report.problems()
    assert problem.startswith("Case case-1 of site s0")
    assert message in problem
    assert str(federation.parent) not in problem
    assert sorted(case.name for case in report.sites[0].cases) == ["case-0", "case-1", "case-2"]
    correct = [case for site in report.sites for case in site.cases if case.problem is None]
    assert len(correct) == 5
    assert all(case.volumes_ml for case in correct)
    assert [row[-1] for row in overview(report)] == ["1", "none"]


def test_all_errors_are_reported(federation: Path) -> None:
    remove_label(federation)
    shutil.rmtree(federation.parent / "s1" / "labels")
    write_array(path(federation, "s0", "labels", 2), np.zeros((3, 3, 3), np.uint8))
    problems = " ".join(check(federation).problems())
    assert "case-1 of site s0" in problems
    assert "case-2 of site s0" in problems
    assert "Site s1: The folder labels for the labels does not exist" in problems


def test_a_site_without_readable_cases_has_a_row_in_the_overview(federation: Path) -> None:
    shutil.rmtree(federation.parent / "s1")
    rows = overview(check(federation))
    assert rows[1] == ("s1", "0", "0/0/0", "", "", "", "", "", "1")


def test_the_cases_of_a_site_with_too_few_cases_are_checked(federation: Path) -> None:
    edit(federation, "split = [1, 1, 1]", "split = [2, 1, 1]")
    report = check(federation)
    assert report.problems() == [
        "Site s0 has 3 cases, but its split [2, 1, 1] needs 4. Add cases, or choose smaller numbers."
    ]
    assert [case.part for case in report.sites[0].cases] == ["", "", ""]
    assert all(case.volumes_ml for case in report.sites[0].cases)


def test_the_same_image_at_two_sites_is_an_error_in_any_stored_form(federation: Path) -> None:
    image = sitk.ReadImage(str(path(federation, "s0", "images", 1)))
    label = sitk.ReadImage(str(path(federation, "s0", "labels", 1)))
    stored = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat32), "PIR")
    sitk.WriteImage(stored, str(path(federation, "s1", "images", 0)))
    sitk.WriteImage(sitk.DICOMOrient(label, "PIR"), str(path(federation, "s1", "labels", 0)))
    report = check(federation)
    (problem,) = report.problems()
    parts = case_of(report, 0, "case-1").part, case_of(report, 1, "case-0").part
    assert problem == f"The same image: case-1 of s0 ({parts[0]}), case-0 of s1 ({parts[1]})."


def test_the_same_image_in_two_parts_is_an_error_and_in_one_part_a_remark(
    federation: Path,
) -> None:
    for kind in ("images", "labels"):
        shutil.copy(path(federation, "s0", kind, 0), path(federation, "s0", kind, 1))
    (problem,) = check(federation).problems()
    assert problem.startswith("The same image: case-0 of s0 (")
    edit(federation, "split = [1, 1, 1]", "split = [3, 0, 0]")
    report = check(federation)
    assert report.problems() == []
    assert report.remarks() == ["The same image: case-0 of s0 (train), case-1 of s0 (train)."]


def test_one_label_of_two_images_is_a_remark(federation: Path) -> None:
    shutil.copy(path(federation, "s0", "labels", 0), path(federation, "s0", "labels", 1))
    report = check(federation)
    assert report.problems() == []
    (remark,) = report.remarks()
    assert remark.startswith("The same label: case-0 of s0 (")


def test_an_unused_copy_of_an_image_is_a_remark(federation: Path) -> None:
    names = '{train = ["case-0"], validation = ["case-1"]}'
    edit(federation, "split = [1, 1, 1]", f"split = {names}")
    for kind in ("images", "labels"):
        shutil.copy(path(federation, "s0", kind, 0), path(federation, "s0", kind, 2))
    report = check(federation)
    assert report.problems() == []
    assert report.remarks() == ["The same image: case-0 of s0 (train), case-2 of s0 (unused)."]


def test_a_label_in_place_of_an_image_is_a_remark(federation: Path) -> None:
    shutil.copy(path(federation, "s0", "labels", 0), path(federation, "s0", "images", 0))
    (remark,) = check(federation).remarks()
    assert remark == (
        "Case case-0 of site s0: the image has only 2 different values, as a label has; is it one?"
    )


def test_constant_images_empty_labels_and_unusual_volumes_are_remarks(federation: Path) -> None:
    blank = np.zeros(SIZE[::-1], np.int16)
    write_array(path(federation, "s0", "images", 0), blank)
    write_array(path(federation, "s0", "labels", 1), blank.astype(np.uint8))
    everything = blank.astype(np.uint8)
    everything[2:-2] = 1  # 14 of 18 slices, which is far more than the other cases' blob
    write_array(path(federation, "s0", "labels", 2), everything)
    report = check(federation)
    assert report.problems() == []
    remarks = report.remarks()
    assert "Case case-0 of site s0: all voxels of the image are equal." in remarks
    assert "Case case-1 of site s0: the label is empty." in remarks
    assert any(
        remark.startswith("Case case-2 of site s0: Blob has 100.8 mL; the median of all cases is ")
        for remark in remarks
    )
    assert len(remarks) == 3


def test_a_structure_that_no_label_of_a_site_has_is_a_remark_unless_it_is_listed_as_missing(
    federation: Path,
) -> None:
    edit(federation, "[[sites]]", '[[structures]]\nname = "Other"\nlabel = 2\n[[sites]]')
    assert check(federation).remarks() == [
        f"s{n}: Other is in none of the site's labels; if it was not drawn there, name it in "
        "labels_missing."
        for n in range(2)
    ]
    edit(federation, 'name = "s0"', 'name = "s0"\nlabels_missing = ["Other"]')
    report = check(federation)
    assert [remark[:2] for remark in report.remarks()] == ["s1"]
    assert case_of(report, 0, "case-0").volumes_ml.keys() == {"Blob"}
    volume = HEADING.index("volume, mL")
    assert overview(report)[0][volume].endswith("; Other not drawn")


def test_a_label_that_is_resampled_is_a_remark(federation: Path) -> None:
    label = voxels(federation, "s0", "labels", 1)
    write_array(path(federation, "s0", "labels", 1), label[::2], (2.0, 2.0, 5.0))
    edit(federation, 'name = "s0"', 'name = "s0"\nresample_labels = true')
    report = check(federation)
    assert report.problems() == []
    assert report.remarks() == [
        "Case case-1 of site s0: the label is resampled onto the image's grid: "
        "the image has (36, 20, 18) voxels, the label (36, 20, 9)."
    ]


def test_only_the_first_readable_cases_of_a_site_have_a_picture(tmp_path: Path) -> None:
    config = write_federation(tmp_path, sites=1, cases=PICTURES + 2)
    truncate_image(config)
    (site,) = check(config).sites
    shown = [case.name for case in site.cases if case.picture is not None]
    assert shown == [f"case-{n}" for n in (0, 2, 3, 4, 5, 6)]


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSL", "IRA"])
@pytest.mark.parametrize("thick", [0, 1, 2])
def test_a_picture_is_upright_for_every_stored_orientation(
    federation: Path, orientation: str, thick: int
) -> None:
    """The left, posterior and superior halves are brighter, so their place in the picture is known."""
    spacing = [2.0, 2.0, 2.0]
    spacing[thick] = 4.0
    x, y, z = np.meshgrid(*map(np.arange, (8, 10, 12)), indexing="ij")
    bright = (x >= 4) * 100 + (y >= 5) * 30 + (z >= 6) * 10
    for kind, array in (("images", bright), ("labels", x >= 4)):
        picture = sitk.GetImageFromArray(array.transpose().astype(np.int16))
        picture.SetSpacing(spacing)
        sitk.WriteImage(
            sitk.DICOMOrient(picture, orientation), str(path(federation, "s0", kind, 0))
        )
    picture = case_of(check(federation), 0, "case-0").picture
    assert picture is not None
    rows, columns = picture.image.shape
    upper, lower = picture.image[: rows // 2].mean(), picture.image[rows // 2 :].mean()
    assert (upper < lower) == (thick == 2)  # axial: posterior below; else superior above
    left, right = picture.image[:, : columns // 2].mean(), picture.image[:, columns // 2 :].mean()
    assert left < right  # axial and coronal: the patient's left; sagittal: posterior
    assert picture.aspect == 1.0
    if thick != 0:
        assert not picture.label[:, : columns // 2].any()
        assert picture.label[:, columns // 2 :].all()


@given(
    data=st.data(),
    orientation=st.sampled_from(["LPS", "RAS", "SAL", "PIR", "AIL"]),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
)
def test_the_hash_of_an_image_depends_on_its_voxels_only(
    data: Any, orientation: str, shape: tuple[int, int, int]
) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    array = np.random.default_rng(seed).integers(-500, 500, shape)
    image = sitk.GetImageFromArray(array.astype(np.int16))
    other = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat32), orientation)
    other.SetSpacing((0.7, 0.8, 0.9))
    assert voxels_sha256(image) == voxels_sha256(other)
    place = tuple(data.draw(st.integers(0, side - 1)) for side in shape)
    array[place] += 1
    assert voxels_sha256(sitk.GetImageFromArray(array.astype(np.int16))) != voxels_sha256(image)


def test_a_spacing_and_a_patch_that_do_not_suit_the_volumes_are_remarks(tmp_path: Path) -> None:
    values = tomllib.loads(write_federation(tmp_path).read_text(encoding="utf-8"))
    values["preprocessing"] = {"spacing_mm": [2.0, 2.0, 2.5], "patch_size": [32, 16, 32]}
    config = load_source(values, tmp_path)
    remarks = list(check_data(config).remarks())
    assert sum("32 voxels along z, but no volume has more than 18" in each for each in remarks) == 2
    assert not list(check_data(config, has_grid=False).remarks())


def test_a_defect_pixel_is_remarked(federation: Path) -> None:
    image = voxels(federation, "s0", "images", 0).astype(np.float32)
    image[2, 3, 4] = 1e8
    write_array(path(federation, "s0", "images", 0), image)
    report = check(federation)
    (remark,) = case_of(report, 0, "case-0").remarks
    assert "the value 1e+08 of a few voxels is far from all others" in remark
    assert report.problems() == []


def test_padding_and_a_header_without_orientation_are_remarked(federation: Path) -> None:
    padded = voxels(federation, "s0", "images", 0)
    padded[:1] = -30000
    write_array(path(federation, "s0", "images", 0), padded)
    plain = path(federation, "s0", "images", 1)
    image, label = sitk.ReadImage(str(plain)), path(federation, "s0", "labels", 1)
    data = gzip.decompress(plain.read_bytes())
    plain.write_bytes(gzip.compress(volume_files.patched(data, 252, "<2h", 0, 0)))
    drawn = sitk.ReadImage(str(label))
    drawn.CopyInformation(sitk.ReadImage(str(plain)))
    sitk.WriteImage(drawn, str(label))
    assert image.GetSize() == drawn.GetSize()
    report = check(federation)
    (remark,) = case_of(report, 0, "case-0").remarks
    assert "the lowest value of the image, -30000, is far from all others" in remark
    (remark,) = case_of(report, 0, "case-1").remarks
    assert "does not state the orientation" in remark
    assert report.problems() == []
