import random
import stat
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedcross.errors import BundleError, OutputError
from fedcross.model.bundle import Bundle, open_bundle, verify_bundle
from fedcross.model.bundle_zip import pack_bundle, unpack_bundle
from fedcross.model.metadata import read_zip_manifest
from fedcross.runtime.files.archive import unpack_archive


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return path


def test_opening_a_zip_unpacks_it_to_a_temporary_folder_that_is_removed(
    bundle: Bundle, tmp_path: Path
) -> None:
    pack_bundle(bundle.path, tmp_path / "b.zip")
    with open_bundle(tmp_path / "b.zip") as opened:
        assert opened.sha256 == bundle.sha256
        assert opened.member_tensors(1)
        unpacked = opened.path
    assert not unpacked.exists()


def test_packing_and_unpacking_give_the_same_files(bundle: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle.path, tmp_path / "b.zip")
    copy = unpack_bundle(tmp_path / "b.zip", tmp_path / "copy").path
    for path in bundle.path.rglob("*"):
        if path.is_file():
            assert (copy / path.relative_to(bundle.path)).read_bytes() == path.read_bytes()


def test_the_same_bundle_packs_to_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle.path, tmp_path / "a.zip")
    pack_bundle(bundle.path, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("name", ["Tiny\\LICENSE", "models/x:y"])
def test_a_name_that_not_every_system_has_is_refused(name: str, tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", ("configs/metadata.json", b"{}"), (name, b"x"))
    with pytest.raises(BundleError, match="a name that not every system has"):
        unpack_bundle(archive, tmp_path / "bundle")


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/out", "\\out", "C:/out", "a/..\\out"])
def test_a_path_that_leads_out_of_the_zip_is_refused_and_nothing_is_written(
    name: str, tmp_path: Path
) -> None:
    archive = zipped(tmp_path / "b.zip", ("configs/metadata.json", b"{}"), (name, b"bad"))
    with pytest.raises(BundleError, match="leads out"):
        unpack_bundle(archive, tmp_path / "in" / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("models")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive = zipped(tmp_path / "b.zip", (link, b"/etc"))
    with pytest.raises(BundleError, match="link"):
        open_bundle(archive)


def test_two_entries_with_the_same_name_are_refused_ignoring_case(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", ("a.txt", b"1"), ("A.TXT", b"2"))
    with pytest.raises(BundleError, match="twice"):
        open_bundle(archive)


def test_an_entry_that_expands_too_much_is_refused(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(1_000_000)  # keeps the ratio of the whole zip small
    archive = zipped(tmp_path / "b.zip", ("zeros", bytes(50_000_000)), ("noise", noise))
    with pytest.raises(BundleError, match="'zeros', which expands beyond reason"):
        open_bundle(archive)


def test_a_zip_that_expands_too_much_as_a_whole_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", *((f"zeros {i}", bytes(1_000_000)) for i in range(50)))
    with pytest.raises(BundleError, match="50000000 bytes, beyond reason"):
        open_bundle(archive)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_than_deflate_are_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", method) as archive:
        archive.writestr("configs/metadata.json", "{}")
    with pytest.raises(BundleError, match="compressed in a way"):
        open_bundle(tmp_path / "b.zip")


def test_a_zip_holds_one_folder_named_after_the_bundle_and_only_its_own_parts(
    bundle: Bundle, tmp_path: Path
) -> None:
    (bundle.path / "images").mkdir()
    (bundle.path / "images" / "patient.nii.gz").write_bytes(b"a patient's scan")
    pack_bundle(bundle.path, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {bundle.manifest.slug}
    assert f"{bundle.manifest.slug}/configs/metadata.json" in names
    assert not any("patient" in name for name in names)


def test_a_zip_without_a_top_folder_is_read(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in sorted(p for p in bundle.path.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(bundle.path))
    with open_bundle(tmp_path / "b.zip") as opened:
        assert opened.sha256 == bundle.sha256
    assert unpack_bundle(tmp_path / "b.zip", tmp_path / "copy").sha256 == bundle.sha256


@pytest.mark.parametrize("name", [".", "a/./../b", "./"])
def test_invalid_entry_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError):
        open_bundle(zipped(tmp_path / "b.zip", (name, b"x")))


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", *((f"{i}", b"") for i in range(1001)))
    with pytest.raises(BundleError, match="1001 entries"):
        open_bundle(archive)


def test_a_truncated_zip_is_refused_and_no_folder_is_left(bundle: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle.path, tmp_path / "b.zip")
    data = (tmp_path / "b.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(BundleError, match="not a sound zip"):
        unpack_bundle(tmp_path / "b.zip", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_damaged_entry_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle.path, tmp_path / "b.zip")
    data = bytearray((tmp_path / "b.zip").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    (tmp_path / "b.zip").write_bytes(bytes(data))
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(BundleError, match="not a sound zip"):
        unpack_archive(tmp_path / "b.zip", folder)


def test_unpacking_to_an_existing_path_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    pack_bundle(bundle.path, tmp_path / "b.zip")
    with pytest.raises(OutputError, match="exists"):
        unpack_bundle(tmp_path / "b.zip", bundle.path)


@pytest.mark.parametrize("depth", [9, 990])
def test_deeply_nested_folders_are_refused_before_anything_is_written(
    depth: int, tmp_path: Path
) -> None:
    archive = zipped(
        tmp_path / "b.zip", ("configs/metadata.json", b"{}"), ("a/" * depth + "x", b"")
    )
    with pytest.raises(BundleError, match="in more than 8 folders"):
        unpack_bundle(archive, tmp_path / "in" / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_a_zip_that_holds_no_bundle_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", ("notes.txt", b"hello"))
    with pytest.raises(BundleError, match=r"lacks configs/metadata\.json"):
        unpack_archive(archive, tmp_path, lambda found: read_zip_manifest(found, "b.zip"))
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_a_large_table_of_contents_is_refused_without_reading_it(tmp_path: Path) -> None:
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for index in range(10_000):
            file.writestr(f"{index:0100d}", b"")
    with pytest.raises(BundleError, match=r"table of contents of \d+ bytes"):
        open_bundle(archive)


def test_an_error_shows_no_control_characters_of_a_name(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", ("../\x1b[2J", b""))
    with pytest.raises(BundleError, match=r"holds '\.\./\\x1b\[2J'"):
        open_bundle(archive)


def test_an_error_shows_a_long_name_in_short(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "b.zip", ("a/" * 990 + "x", b""))
    with pytest.raises(BundleError, match=r"b\.zip holds 'a/a/.*\.\.\.") as caught:
        open_bundle(archive)
    assert len(str(caught.value)) < 200


def test_two_packers_into_one_zip_both_leave_a_whole_zip(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(pack_bundle, bundle.path, folder / "b.zip") for _ in range(6)]
        for each in waiting:
            each.result()
    assert [path.name for path in folder.iterdir()] == ["b.zip"]
    assert verify_bundle(folder / "b.zip") == bundle.manifest
