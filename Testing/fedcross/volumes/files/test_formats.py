"""Every format: what is read, and what is refused with a sentence that names the file."""

import gzip
import os
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import volume_files
from fedcross.errors import DataError
from fedcross.volumes.files import checks
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.grid import Grid

VOXELS = volume_files.VOXELS


@pytest.fixture
def written(tmp_path: Path) -> dict[str, tuple[str, ...]]:
    return volume_files.write_all(tmp_path)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_volume(path)
    assert str(path.parent) not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def voxels_of(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read_volume(path))


def test_every_format_gives_the_same_voxels_and_the_same_position(tmp_path, written) -> None:
    for name in written:
        image = read_volume(tmp_path / name)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOXELS, name)
        grid = Grid.of(image)
        assert grid.spacing_mm == (0.5, 0.75, 2), name
        np.testing.assert_allclose(grid.axes, np.eye(3), atol=1e-7)
        if not name.endswith((".nii", ".nii.gz", ".hdr")):
            assert grid.origin_mm == (1, 2, 3), name
        assert notes_of(image) == [], name


def test_itk_reads_the_same_files_alike(tmp_path, written) -> None:
    for name in written.keys() - {"two.nii", "bz.nrrd", "hex.nrrd"}:  # which ITK does not read
        ours, theirs = read_volume(tmp_path / name), sitk.ReadImage(str(tmp_path / name))
        np.testing.assert_array_equal(
            sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs), name
        )
        for field in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(ours, field)(), getattr(theirs, field)(), atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_number_type_that_itk_writes_is_read(tmp_path, suffix, kind) -> None:
    array = np.arange(60).astype(kind).reshape(3, 4, 5)
    array[0, 0, 0] = np.iinfo(kind).max if kind[0] in "iu" else 0.1
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), useCompression=suffix != ".mhd")
    read = voxels_of(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_the_name_of_a_file_does_not_decide_its_format(tmp_path, written) -> None:
    for name in ("a.nii", "a.nii.gz", "a.nrrd", "z.mha"):
        (tmp_path / name).rename(tmp_path / "a.bin")
        np.testing.assert_array_equal(voxels_of(tmp_path / "a.bin"), VOXELS)


def test_a_file_cut_at_any_place_is_refused(tmp_path, written) -> None:
    for name, files in written.items():
        path = tmp_path / files[-1]
        whole = path.read_bytes()
        for length in {1, 3, 20, 100, 340, 348, 360, len(whole) // 2, len(whole) - 1}:
            if length < len(whole):
                path.write_bytes(whole[:length])
                if name.startswith("text") and length == len(whole) - 1:
                    continue  # only the last line feed is missing
                refusal(tmp_path / name)
        path.write_bytes(whole)


def test_bytes_after_the_voxels_are_refused(tmp_path, written) -> None:
    for name, files in written.items():
        path = tmp_path / files[-1]
        whole = path.read_bytes()
        path.write_bytes(whole + b"\x07" * 7)
        assert "damaged" in refusal(tmp_path / name), name


def test_zeros_after_compressed_data_are_accepted(tmp_path, written) -> None:
    for name in ("a.nii.gz", "gz.nrrd", "bz.nrrd", "z.mha"):
        with (tmp_path / name).open("ab") as file:
            file.write(bytes(512))
        np.testing.assert_array_equal(voxels_of(tmp_path / name), VOXELS)


def test_a_gzip_file_of_several_members_is_read(tmp_path) -> None:
    data = volume_files.nifti()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data[:400]) + gzip.compress(data[400:]))
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.nii.gz"), VOXELS)


@pytest.mark.parametrize("name", ["a.nii.gz", "gz.nrrd", "bz.nrrd", "z.mha"])
def test_a_flipped_bit_in_compressed_data_never_changes_voxels(tmp_path, written, name) -> None:
    whole = (tmp_path / name).read_bytes()
    refused = 0
    for place in range(len(whole) - 100, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        (tmp_path / name).write_bytes(changed)
        try:
            np.testing.assert_array_equal(voxels_of(tmp_path / name), VOXELS)
        except DataError:
            refused += 1
    assert refused > 90


BOMBS = {
    "raw.nrrd": volume_files.nrrd(sizes="1000 1000 1000"),
    "gz.nrrd": volume_files.nrrd("gzip", sizes="1000 1000 1000"),
    "bz.nrrd": volume_files.nrrd("bzip2", sizes="1000 1000 1000"),
    "text.nrrd": volume_files.nrrd("ascii", sizes="1000 1000 1000"),
    "hex.nrrd": volume_files.nrrd("hex", sizes="1000 1000 1000"),
    "a.mha": volume_files.metaimage(DimSize="1000 1000 1000"),
    "z.mha": volume_files.metaimage("zlib", DimSize="1000 1000 1000"),
    "a.nii": volume_files.patched(volume_files.nifti(), 42, "<3h", 1000, 1000, 1000),
    "a.nii.gz": gzip.compress(volume_files.patched(volume_files.nifti(), 42, "<3h", 999, 999, 999)),
    # 100 MB of zeros where 120 bytes are declared
    "more.nii.gz": gzip.compress(volume_files.nifti() + bytes(100_000_000), 9),
    "more.mha": volume_files.metaimage(CompressedData="True")[:-120] + zlib.compress(bytes(10**8)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_declared_sizes_and_bombs_allocate_nothing(tmp_path, name) -> None:
    (tmp_path / name).write_bytes(BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    assert "damaged" in refusal(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../other.raw", "folder/x.raw", "..\\x.raw", "C:x.raw", ".."]
)
def test_a_header_names_only_a_file_beside_it(tmp_path, named) -> None:
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file=named))
    assert "not the name of a file beside it" in refusal(tmp_path / "a.mhd")
    (tmp_path / "a.nhdr").write_bytes(volume_files.nrrd(data_file=named))
    assert "not the name of a file beside it" in refusal(tmp_path / "a.nhdr")


def test_a_dot_before_the_name_of_the_file_beside_it_is_read(tmp_path) -> None:
    (tmp_path / "v.raw").write_bytes(volume_files.raw())
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file="./v.raw"))
    header = volume_files.nrrd(data_file="./v.raw").partition(b"\n\n")[0] + b"\n"
    (tmp_path / "a.nhdr").write_bytes(header)
    for name in ("a.mhd", "a.nhdr"):
        voxels = sitk.GetArrayFromImage(read_volume(tmp_path / name))
        assert (voxels == volume_files.VOXELS).all()


def test_voxels_in_several_files_and_a_header_that_names_itself_are_refused(tmp_path) -> None:
    for named in ("LIST", "slice%03d.raw 1 3 1"):
        (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file=named))
        assert "in several files" in refusal(tmp_path / "a.mhd")
        (tmp_path / "a.nhdr").write_bytes(volume_files.nrrd(data_file=named))
        assert "in several files" in refusal(tmp_path / "a.nhdr")
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file="a.mhd"))
    assert "names itself" in refusal(tmp_path / "a.mhd")


def test_the_missing_file_of_voxels_is_named(tmp_path, written) -> None:
    for name, other in (("pair.hdr", "pair.img"), ("beside.mhd", "beside.raw")):
        (tmp_path / other).unlink()
        assert refusal(tmp_path / name).startswith(
            f"{other}, the file of the voxels of {name}, is not there."
        )


def test_the_image_file_of_a_pair_stands_for_its_header(tmp_path, written) -> None:
    np.testing.assert_array_equal(voxels_of(tmp_path / "pair.img"), VOXELS)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".vtk"])
def test_pictures_and_other_formats_are_named_or_refused(tmp_path, suffix) -> None:
    depth = () if suffix in (".png", ".jpg", ".bmp") else (3,)
    image = sitk.GetImageFromArray(np.ones((*depth, 4, 5), np.uint8))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    assert "Give a 3D scalar volume as NIfTI, NRRD, MetaImage" in refusal(tmp_path / f"a{suffix}")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.nii")
    assert "is not a regular file" in refusal(tmp_path / "pipe.nii")
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file="pipe.nii"))
    assert "is not a regular file" in refusal(tmp_path / "a.mhd")
    (tmp_path / "loop.nii").symlink_to("loop.nii")
    assert "cannot be read" in refusal(tmp_path / "loop.nii")
    (tmp_path / "long.mhd").write_bytes(volume_files.metaimage(file="x" * 300))
    assert "cannot be read" in refusal(tmp_path / "long.mhd")


def test_names_that_are_not_utf_8_are_read_and_shown(tmp_path) -> None:
    path = tmp_path / os.fsdecode(b"M\xfcller.nii")
    path.write_bytes(volume_files.nifti())
    np.testing.assert_array_equal(voxels_of(path), VOXELS)
    path.write_bytes(volume_files.nifti()[:-1])
    assert "M?ller.nii is damaged or cut short" in refusal(path)


def test_a_file_of_several_volumes_is_read_one_by_one(tmp_path) -> None:
    both = np.stack([VOXELS, VOXELS[::-1]])
    last = volume_files.nrrd(
        dimension="4",
        sizes="5 4 3 2",
        kinds="domain domain domain list",
        space_directions="(1,0,0) (0,1,0) (0,0,1) none",
    )
    first = volume_files.nrrd(
        dimension="4",
        sizes="2 5 4 3",
        kinds="list domain domain domain",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)",
    )
    middle = volume_files.nrrd(
        dimension="4",
        sizes="5 4 2 3",
        kinds="domain domain list domain",
        space_directions="(1,0,0) (0,1,0) none (0,0,1)",
    )
    contents = {
        "last.nrrd": last[:-120] + volume_files.raw(both),
        "first.nrrd": first[:-120] + volume_files.raw(np.moveaxis(both, 0, -1)),
        "middle.nrrd": middle[:-120] + volume_files.raw(np.moveaxis(both, 0, 1)),
        "a.nii": volume_files.nifti(both),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
        for index, expected in enumerate(both):
            image = read_volume(tmp_path / name, channel=index)
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected, name)
        assert "is a 4D image of 2 volumes" in refusal(tmp_path / name)


def test_one_volume_with_further_axes_of_length_1_is_read(tmp_path) -> None:
    (tmp_path / "a.nii").write_bytes(volume_files.nifti(VOXELS[None, None]))
    (tmp_path / "a.nrrd").write_bytes(
        volume_files.nrrd(
            dimension="4",
            sizes="1 5 4 3",
            kinds="list domain domain domain",
            space_directions="none (1,0,0) (0,1,0) (0,0,1)",
        )
    )
    (tmp_path / "a.mha").write_bytes(
        volume_files.metaimage(
            NDims="4",
            DimSize="5 4 3 1",
            ElementSpacing="1 1 1 1",
            Offset="0 0 0 0",
            TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        )
    )
    for name in ("a.nii", "a.nrrd", "a.mha"):
        np.testing.assert_array_equal(voxels_of(tmp_path / name), VOXELS)


def test_colours_are_refused_as_values_in_every_voxel(tmp_path) -> None:
    header = volume_files.nrrd(
        dimension="4",
        sizes="3 5 4 1",
        kinds="RGB-color domain domain domain",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)",
    )
    (tmp_path / "a.nrrd").write_bytes(header)
    assert "3 values in every voxel" in refusal(tmp_path / "a.nrrd")
    (tmp_path / "a.mha").write_bytes(
        volume_files.metaimage(DimSize="5 4 1", ElementNumberOfChannels="3")
    )
    assert "3 values in every voxel" in refusal(tmp_path / "a.mha")


@pytest.mark.parametrize("spacing", ["0", "-1", "nan", "inf", "1e300", "5e-324", "1e5"])
def test_a_spacing_that_no_volume_has_is_refused_in_a_short_sentence(tmp_path, spacing) -> None:
    directions = f"({spacing},0,0) (0,1,0) (0,0,1)"
    (tmp_path / "a.nrrd").write_bytes(volume_files.nrrd(space_directions=directions))
    (tmp_path / "b.nrrd").write_bytes(
        volume_files.nrrd(space="", space_directions="", space_origin="", spacings=f"{spacing} 1 1")
    )
    (tmp_path / "a.mha").write_bytes(volume_files.metaimage(ElementSpacing=f"{spacing} 1 1"))
    with np.errstate(over="ignore"):
        value = np.float32(spacing)
    (tmp_path / "a.nii").write_bytes(
        volume_files.patched(volume_files.nifti(codes=(1, 0)), 80, "<f", value)
    )
    for name in ("b.nrrd", "a.mha", "a.nii", *(() if spacing == "-1" else ("a.nrrd",))):
        assert len(refusal(tmp_path / name)) < 200


@pytest.mark.parametrize("origin", ["nan", "inf", "-inf", "1e300", "2e6"])
def test_an_origin_that_no_volume_has_is_refused_in_a_short_sentence(tmp_path, origin) -> None:
    (tmp_path / "a.nrrd").write_bytes(volume_files.nrrd(space_origin=f"({origin},0,0)"))
    (tmp_path / "a.mha").write_bytes(volume_files.metaimage(Offset=f"{origin} 0 0"))
    with np.errstate(over="ignore"):
        value = np.float32(origin)
    (tmp_path / "a.nii").write_bytes(
        volume_files.patched(volume_files.nifti(codes=(1, 0)), 268, "<f", value)
    )
    for name in ("a.nrrd", "a.mha", "a.nii"):
        assert len(refusal(tmp_path / name)) < 200


def test_a_header_that_leaves_the_geometry_open_is_remarked(tmp_path) -> None:
    (tmp_path / "a.nrrd").write_bytes(
        volume_files.nrrd(space="", space_directions="", space_origin="")
    )
    (tmp_path / "a.mha").write_bytes(
        volume_files.metaimage(TransformMatrix="", ElementSpacing="", BinaryDataByteOrderMSB="")
    )
    remarks = notes_of(read_volume(tmp_path / "a.nrrd"))
    assert ["orientation" in each for each in remarks] == [True, False]
    assert "1 mm is taken" in remarks[1]
    remarks = notes_of(read_volume(tmp_path / "a.mha"))
    assert len(remarks) == 3
    assert "little-endian is taken" in remarks[2]


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
        ("LPS", (1, 1, 1)),
    ],
)
def test_the_space_of_nrrd_is_turned_into_lps(tmp_path, space, signs) -> None:
    (tmp_path / "a.nrrd").write_bytes(volume_files.nrrd(space=space))
    grid = Grid.of(read_volume(tmp_path / "a.nrrd"))
    assert grid.origin_mm == tuple(np.multiply((1, 2, 3), signs))
    np.testing.assert_array_equal(np.diag(grid.axes), signs)


NRRD_MISTAKES = {
    "sizes": ("5 4", "5 4 x", "5 4 0", "5 4 -3", "5 4 3 2"),
    "type": ("", "shorts", "block", "long double"),
    "dimension": ("", "0", "17", "x", "3.5"),
    "endian": ("", "middle"),
    "kinds": ("domain", "list domain domain", "domain domain RGB-color"),
    "space": ("left-posterior-inferior",),
    "space directions": ("(1,0,0) (0,1,0)", "(1,0,0) (0,1,0) 7", "(1,0) (0,1) (1,1)"),
    "space units": ('"m" "m" "m"',),
    "spacings": ("1 1 1", "0.5 0.75 x"),
    "space origin": ("(1,2)", "(a,b,c)"),
    "line skip": ("-1", "5"),
    "byte skip": ("-2", "7"),
    "colour": ("red",),
}


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, vs in NRRD_MISTAKES.items() for v in vs]
)
def test_a_mistake_in_a_field_of_nrrd_is_refused(tmp_path, field, value) -> None:
    (tmp_path / "a.nrrd").write_bytes(volume_files.nrrd(**{field.replace(" ", "_"): value}))
    refusal(tmp_path / "a.nrrd")


META_MISTAKES = {
    "NDims": ("0", "-1", "9", "x"),
    "DimSize": ("", "5 4", "5 4 0", "5 4 -3", "5 4 x"),
    "ElementType": ("", "MET_OTHER", "MET_SHORT_ARRAY"),
    "ElementSpacing": ("1 1", "a b c"),
    "TransformMatrix": ("1 0 0", "2 0 0 0 2 0 0 0 2", "nan 0 0 0 1 0 0 0 1", "0 0 0 0 0 0 0 0 0"),
    "BinaryDataByteOrderMSB": ("maybe",),
    "CompressedData": ("True", "maybe"),
    "BinaryData": ("False",),
    "HeaderSize": ("7", "-2", "x"),
    "ElementToIntensityFunctionSlope": ("2",),
    "DistanceUnits": ("um",),
    "Rotation": ("0 1 0 1 0 0 0 0 1",),
    "Position": ("1 2 4",),
}


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, vs in META_MISTAKES.items() for v in vs]
)
def test_a_mistake_in_a_field_of_metaimage_is_refused(tmp_path, field, value) -> None:
    (tmp_path / "a.mha").write_bytes(volume_files.metaimage(**{field: value}))
    refusal(tmp_path / "a.mha")


@pytest.mark.parametrize("encoding", ["", "zip", "raww"])
def test_an_unknown_encoding_of_nrrd_is_refused(tmp_path, encoding) -> None:
    data = volume_files.nrrd().replace(b"encoding: raw", f"encoding: {encoding}".encode())
    (tmp_path / "a.nrrd").write_bytes(data)
    assert "encoding" in refusal(tmp_path / "a.nrrd")


def test_skipped_lines_and_bytes_are_skipped(tmp_path) -> None:
    header = volume_files.nrrd(data_file="a.raw", line_skip="2", byte_skip="3")
    (tmp_path / "a.nhdr").write_bytes(header.partition(b"\n\n")[0] + b"\n")
    (tmp_path / "a.raw").write_bytes(b"one\ntwo\nxyz" + volume_files.raw())
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.nhdr"), VOXELS)
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file="a.raw", HeaderSize="-1"))
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.mhd"), VOXELS)
    (tmp_path / "a.mhd").write_bytes(volume_files.metaimage(file="a.raw", HeaderSize="11"))
    np.testing.assert_array_equal(voxels_of(tmp_path / "a.mhd"), VOXELS)


def test_too_many_voxels_are_refused_before_the_file_is_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checks, "MAX_VOXELS", 59)
    for name in volume_files.write_all(tmp_path):
        assert "more than the 59 that are accepted" in refusal(tmp_path / name)


def test_cosines_below_the_full_precision_print_nothing(tmp_path, capfd) -> None:
    directions = "(0.5,1e-320,-5e-324) (3e-308,0.75,1e-310) (3e-322,0,2)"
    (tmp_path / "a.nrrd").write_bytes(volume_files.nrrd(space_directions=directions))
    assert Grid.of(read_volume(tmp_path / "a.nrrd")).direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert capfd.readouterr() == ("", "")


def test_refusals_print_nothing_of_their_own(tmp_path, written, capfd) -> None:
    for name, files in written.items():
        path = tmp_path / files[-1]
        path.write_bytes(path.read_bytes()[:-9])
        refusal(tmp_path / name)
    assert capfd.readouterr() == ("", "")
