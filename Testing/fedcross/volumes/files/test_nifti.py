"""The position of NIfTI volumes, compared with nibabel, and every field that decides voxels."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

import volume_files
from fedcross.errors import DataError
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.grid import Grid

VOXELS = volume_files.VOXELS
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ANGLE = st.floats(-180, 180)
SPACING = st.tuples(*[st.floats(0.1, 5)] * 3)


def grid_of(path: Path, data: bytes) -> tuple[Grid, list[str]]:
    path.write_bytes(data)
    image = read_volume(path)
    return Grid.of(image), notes_of(image)


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_volume(path)
    return str(caught.value)


def affine_of(
    angles: tuple[float, float, float],
    spacing: tuple[float, ...],
    order: tuple[int, ...] = (0, 1, 2),
    flips: tuple[int, ...] = (1, 1, 1),
) -> NDArray[np.float64]:
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation[:, order] * np.array(flips) * np.array(spacing)
    affine[:3, 3] = (10, -20, 30)
    return affine


@settings(max_examples=60)
@given(
    angles=st.tuples(ANGLE, ANGLE, ANGLE),
    spacing=SPACING,
    order=st.permutations((0, 1, 2)),
    flips=st.tuples(*[st.sampled_from((-1, 1))] * 3),
    codes=st.sampled_from([(1, 0), (0, 1), (0, 2), (1, 1), (2, 1)]),
    version=st.sampled_from([1, 2]),
)
def test_oblique_permuted_and_flipped_axes_lie_where_nibabel_has_them(
    tmp_path_factory, angles, spacing, order, flips, codes, version
) -> None:
    path = tmp_path_factory.mktemp("volume") / "a.nii"
    affine = affine_of(angles, spacing, tuple(order), flips)
    grid, remarks = grid_of(path, volume_files.nifti(VOXELS, affine, version=version, codes=codes))
    expected = LPS @ nib.load(path).affine
    np.testing.assert_allclose(grid.index_to_world, expected, atol=2e-4)
    np.testing.assert_allclose(grid.axes.T @ grid.axes, np.eye(3), atol=1e-12)
    assert remarks == []


@pytest.mark.parametrize(("codes", "is_sform"), [((1, 1), True), ((2, 1), True), ((1, 2), False)])
def test_of_two_transforms_that_differ_that_of_itk_counts_and_is_said(
    tmp_path, codes, is_sform
) -> None:
    image = nib.Nifti1Image(VOXELS.T, np.eye(4))
    qform, sform = affine_of((0, 0, 5), (2, 2, 3)), affine_of((0, 0, 25), (2, 2, 3))
    image.header.set_qform(qform, code=codes[0])
    image.header.set_sform(sform, code=codes[1])
    data = image.header.binaryblock + bytes(4) + volume_files.raw()
    data = volume_files.patched(data[:344] + b"n+1\0" + data[348:], 108, "<f", 352)
    grid, remarks = grid_of(tmp_path / "a.nii", data)
    np.testing.assert_allclose(grid.index_to_world, LPS @ (sform if is_sform else qform), atol=1e-4)
    np.testing.assert_allclose(
        grid.axes.ravel(), sitk.ReadImage(str(tmp_path / "a.nii")).GetDirection(), atol=1e-6
    )
    counts, other = ("sform", "qform") if is_sform else ("qform", "sform")
    # The farthest corner, (8, 6) mm from the first voxel, turns by 20 degrees.
    distance = 2 * np.sin(np.deg2rad(10)) * 10
    assert remarks == [
        f"The {counts} of the header counts; its {other} differs from it by up to {distance:.3g} mm."
    ]


def with_transforms(qform: NDArray[np.float64], sform: NDArray[np.float64]) -> bytes:
    image = nib.Nifti1Image(VOXELS.T, np.eye(4))
    image.header.set_qform(qform, code=1)
    image.header.set_sform(sform, code=1)
    data = image.header.binaryblock[:344] + b"n+1\0" + bytes(4) + volume_files.raw()
    return volume_files.patched(data, 108, "<f", 352)


def test_transforms_that_swap_sides_or_measure_other_voxels_are_refused(tmp_path) -> None:
    path = tmp_path / "a.nii"
    straight = affine_of((0, 0, 0), (2, 2, 3))
    mirrored = straight * np.array([-1, 1, 1, 1])
    assert "disagree about the sides" in refusal(path, with_transforms(straight, mirrored))
    turned = affine_of((0, 0, 90), (2, 2, 3))
    assert "disagree about the sides" in refusal(path, with_transforms(straight, turned))
    larger = affine_of((0, 0, 0), (2, 2, 3.1))
    data = with_transforms(straight, larger)
    assert "2 x 2 x 3.1 in its sform, but 2 x 2 x 3 in its pixdim" in refusal(path, data)


def test_a_difference_below_half_a_voxel_is_not_worth_a_remark(tmp_path) -> None:
    qform, sform = affine_of((0, 0, 0), (2, 2, 3)), affine_of((0, 0, 0), (2, 2, 3))
    sform[0, 3] += 0.9
    assert grid_of(tmp_path / "a.nii", with_transforms(qform, sform))[1] == []
    sform[0, 3] += 0.2
    assert "by up to 1.1 mm" in grid_of(tmp_path / "a.nii", with_transforms(qform, sform))[1][0]


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (1, 1)])
def test_cosines_rounded_to_three_digits_are_read_as_a_rotation(tmp_path, codes) -> None:
    exact = affine_of((8.3, -15.2, 21.7), (1.9, 1.9, 3.0))
    data = volume_files.nifti(VOXELS, exact, codes=codes)
    cosines = (exact[:3, :3] / (1.9, 1.9, 3.0)).round(3) * (1.9, 1.9, 3.0)
    rows = np.c_[cosines, exact[:3, 3]].astype("<f4")
    data = volume_files.patched(data, 280, "<12f", *rows.ravel())
    quaternion = np.frombuffer(data, "<f4", 3, 256).round(3)
    data = volume_files.patched(data, 256, "<3f", *quaternion)
    grid, _ = grid_of(tmp_path / "a.nii", data)
    np.testing.assert_allclose(grid.axes.T @ grid.axes, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(grid.index_to_world, LPS @ exact, atol=6e-3)


def test_a_shear_of_a_degree_is_refused(tmp_path) -> None:
    data = volume_files.nifti(codes=(0, 1))
    for degrees, refused in ((1.0, True), (0.5, False)):
        lean = np.deg2rad(degrees)
        rows = (-0.5, 0.75 * np.sin(lean), 0, 0, 0, -0.75 * np.cos(lean), 0, 0, 0, 0, 2, 0)
        changed = volume_files.patched(data, 280, "<12f", *rows)
        if refused:
            assert "not at right angles (cosine 0.0175)" in refusal(tmp_path / "a.nii", changed)
        else:
            grid_of(tmp_path / "a.nii", changed)


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 + 8, 1)])
def test_the_unit_of_length_is_honoured(tmp_path, unit, factor) -> None:
    data = volume_files.nifti(codes=(1, 1), affine=affine_of((0, 0, 30), (0.5, 0.75, 2)))
    grid, _ = grid_of(tmp_path / "a.nii", volume_files.patched(data, 123, "<B", unit))
    np.testing.assert_allclose(grid.spacing_mm, np.multiply((0.5, 0.75, 2), factor), rtol=1e-6)
    np.testing.assert_allclose(grid.origin_mm, np.multiply((-10, 20, 30), factor), rtol=1e-6)


def test_without_transforms_the_axes_are_those_of_itk_and_this_is_said(tmp_path) -> None:
    data = volume_files.patched(volume_files.nifti(), 252, "<2h", 0, 0)
    grid, remarks = grid_of(tmp_path / "a.nii", data)
    theirs = sitk.ReadImage(str(tmp_path / "a.nii"))
    assert grid.direction == theirs.GetDirection()
    assert grid.origin_mm == theirs.GetOrigin()
    assert "does not state the orientation" in remarks[0]


def test_an_analyze_pair_is_read_as_itk_does_and_this_is_said(tmp_path) -> None:
    image = nib.AnalyzeImage(VOXELS.T, np.diag([2, 2, 3, 1.0]))
    nib.save(image, tmp_path / "a.img")
    for name in ("a.hdr", "a.img"):
        read = read_volume(tmp_path / name)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(read), VOXELS)
        assert read.GetSpacing() == (2, 2, 3)
        assert read.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
        assert "left and right may be swapped" in notes_of(read)[0]


def test_big_endian_files_are_read(tmp_path) -> None:
    image = nib.Nifti1Image(VOXELS.T, affine_of((5, 6, 7), (1, 2, 3)))
    swapped = nib.Nifti1Image(VOXELS.T, image.affine, image.header.as_byteswapped(">"))
    (tmp_path / "a.nii").write_bytes(swapped.to_bytes())
    read = read_volume(tmp_path / "a.nii")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read), VOXELS)
    np.testing.assert_allclose(Grid.of(read).index_to_world, LPS @ image.affine, atol=1e-4)


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8", "i8"])
@pytest.mark.parametrize(("slope", "intercept"), [(2, 1), (-0.5, 3), (0, 7), (np.nan, np.nan)])
def test_the_scale_of_the_header_is_applied_as_nibabel_does(
    tmp_path, kind, slope, intercept
) -> None:
    array = np.arange(60).reshape(3, 4, 5).astype(kind)
    data = volume_files.patched(volume_files.nifti(array), 112, "<2f", slope, intercept)
    (tmp_path / "a.nii").write_bytes(data)
    read = sitk.GetArrayFromImage(read_volume(tmp_path / "a.nii"))
    np.testing.assert_allclose(read, nib.load(tmp_path / "a.nii").get_fdata().T, rtol=1e-6)


MISTAKES = {
    "sizeof_hdr": (0, "<i", 349),
    "dim[0] = 0": (40, "<h", 0),
    "dim[0] = 8": (40, "<h", 8),
    "dim[0] < 0": (40, "<h", -1),
    "dim[0] = 2": (40, "<h", 2),
    "dim[1] = 0": (42, "<h", 0),
    "dim[2] < 0": (44, "<h", -4),
    "dim[3] too large": (46, "<h", 4),
    "dim[3] too small": (46, "<h", 2),
    "datatype unknown": (70, "<h", 5),
    "datatype binary": (70, "<h", 1),
    "datatype of another size": (70, "<h", 16),
    "datatype complex": (70, "<h", 32),
    "datatype colour": (70, "<h", 128),
    "bitpix 0": (72, "<h", 0),
    "bitpix of another type": (72, "<h", 32),
    "pixdim 0": (80, "<f", 0),
    "pixdim negative": (84, "<f", -1),
    "pixdim nan": (88, "<f", np.nan),
    "pixdim inf": (88, "<f", np.inf),
    "qfac": (76, "<f", 3.5),
    "vox_offset nan": (108, "<f", np.nan),
    "vox_offset inf": (108, "<f", np.inf),
    "vox_offset negative": (108, "<f", -352),
    "vox_offset too small": (108, "<f", 100),
    "vox_offset too large": (108, "<f", 368),
    "vox_offset odd": (108, "<f", 352.5),
    "scl_slope inf": (112, "<2f", np.inf, 0),
    "scl_inter nan": (112, "<2f", 2, np.nan),
    "unit": (123, "<B", 5),
    "qform_code": (252, "<h", -1),
    "sform_code": (254, "<h", 77),
    "quaternion too long": (256, "<f", 2),
    "quaternion nan": (260, "<f", np.nan),
    "qoffset nan": (268, "<f", np.nan),
    "qoffset inf": (272, "<f", np.inf),
    "srow nan": (280, "<f", np.nan),
    "srow inf": (292, "<f", -np.inf),
    "srow zero": (280, "<f", 0),
    "srow huge": (280, "<f", 1e30),
    "magic": (344, "<B", ord("x")),
    "magic of a pair": (344, "<2B", ord("n"), ord("i")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_field_of_nifti_is_refused(tmp_path, mistake) -> None:
    data = volume_files.patched(volume_files.nifti(), *MISTAKES[mistake])
    for path, content in (
        (tmp_path / "a.nii", data),
        (tmp_path / "a.nii.gz", gzip.compress(data)),
    ):
        assert len(refusal(path, content)) < 250


NIFTI2_MISTAKES = {
    "dim[0]": (16, "<q", 9),
    "dim[1] huge": (24, "<q", 2**62),
    "dim[2] negative": (32, "<q", -4),
    "bitpix": (14, "<h", 8),
    "pixdim": (112, "<d", 5e-324),
    "vox_offset": (168, "<q", -(2**63)),
    "vox_offset large": (168, "<q", 2**61),
    "slope": (176, "<d", np.inf),
    "qoffset": (376, "<d", 1e300),
    "srow": (400, "<d", 1e308),
    "code": (344, "<i", 2**30),
    "unit": (500, "<i", 7),
    "magic": (8, "<B", 0),
}


@pytest.mark.parametrize("mistake", NIFTI2_MISTAKES)
def test_a_mistake_in_a_field_of_nifti_2_is_refused(tmp_path, mistake) -> None:
    data = volume_files.patched(volume_files.nifti(version=2), *NIFTI2_MISTAKES[mistake])
    assert len(refusal(tmp_path / "a.nii", data)) < 250


def test_analyze_with_a_scale_factor_is_refused(tmp_path) -> None:
    nib.save(nib.AnalyzeImage(VOXELS.T, np.eye(4)), tmp_path / "a.img")
    data = volume_files.patched((tmp_path / "a.hdr").read_bytes(), 112, "<f", 0.5)
    assert "scale factor 0.5" in refusal(tmp_path / "a.hdr", data)


def test_the_header_of_a_pair_under_another_name_is_refused(tmp_path) -> None:
    volume_files.write_all(tmp_path)
    data = (tmp_path / "pair.hdr").read_bytes()
    assert "Give the file .hdr, with the .img beside it" in refusal(tmp_path / "a.nii", data)


def test_a_compressed_pair_is_read(tmp_path) -> None:
    volume_files.write_all(tmp_path)
    for name in ("pair.hdr", "pair.img"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    for name in ("pair.hdr.gz", "pair.img.gz"):
        read = sitk.GetArrayFromImage(read_volume(tmp_path / name))
        np.testing.assert_array_equal(read, VOXELS)
