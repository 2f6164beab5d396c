import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.backends import compiled_cache as cache
from fedcross.backends.compiled_cache import read, write
from harmed_files import HARMS, damage

MEMBER = "ab" * 32

AS_A_PROCESS = """
import sys, time
from pathlib import Path
from fedcross.backends import compiled_cache as cache
if sys.argv[1] == "stop while writing":
    def stop(*_):
        print("writing", flush=True)
        time.sleep(600)
    cache._hashes = stop
cache.write(Path(sys.argv[3]), sys.argv[2], bytes(10**6))
print("done")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "fedcross" / "openvino"


@pytest.fixture
def entry(folder: Path) -> Path:
    return folder / "bundle" / "member_0"


def process(entry: Path, what: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", AS_A_PROCESS, what, MEMBER, str(entry)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_written_entry_is_read(entry: Path) -> None:
    assert read(entry, MEMBER) is None
    write(entry, MEMBER, b"data")
    assert read(entry, MEMBER) == b"data"
    assert [path.name for path in entry.parent.iterdir()] == ["member_0"]


def test_swapped_entries_count_as_missing(folder: Path) -> None:
    zero, one = (folder / "bundle" / f"member_{index}" for index in range(2))
    write(zero, MEMBER, b"zero")
    write(one, "cd" * 32, b"one")
    zero.rename(folder / "aside")
    one.rename(zero)
    (folder / "aside").rename(one)
    assert (read(zero, MEMBER), read(one, "cd" * 32)) == (None, None)
    write(zero, MEMBER, b"zero")
    assert read(zero, MEMBER) == b"zero"  # the foreign entry was removed


@pytest.mark.parametrize("file", ["compiled.bin", "sha256.json"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_entry_counts_as_missing_and_can_be_written_again(
    entry: Path, file: str, harm: str
) -> None:
    write(entry, MEMBER, b"some data")
    damage(entry / file, harm)
    assert read(entry, MEMBER) is None
    write(entry, MEMBER, b"some data")
    assert read(entry, MEMBER) == b"some data"


@pytest.mark.parametrize("what", ["file", "link", "folder", "hashes of another form"])
def test_a_foreign_file_or_folder_in_an_entrys_place_is_replaced(
    entry: Path, tmp_path: Path, what: str
) -> None:
    write(entry, MEMBER, b"data")
    if what == "hashes of another form":
        (entry / "sha256.json").write_text(json.dumps({"a": 1}))
    else:
        shutil.rmtree(entry)
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("not ours")
        if what == "file":
            entry.write_text("foreign")
        elif what == "link":
            entry.symlink_to(tmp_path / "precious")
        else:
            (entry / "inner").mkdir(parents=True)
    assert read(entry, MEMBER) is None
    write(entry, MEMBER, b"data")
    assert read(entry, MEMBER) == b"data"
    if what == "link":
        assert (tmp_path / "precious" / "file").read_text() == "not ours"


def test_two_processes_may_write_the_same_entry_at_the_same_time(folder: Path, entry: Path) -> None:
    processes = [process(entry), process(entry)]
    assert [one.communicate()[0].strip() for one in processes] == ["done", "done"]
    assert read(entry, MEMBER) == bytes(10**6)
    assert not list(folder.rglob(".partial-*"))


def test_an_existing_entry_is_not_overwritten(folder: Path, entry: Path) -> None:
    write(entry, MEMBER, b"first")
    write(entry, MEMBER, b"second")
    assert read(entry, MEMBER) == b"first"
    assert not list(folder.rglob(".partial-*"))


def test_a_partial_entry_of_a_killed_process_is_not_read_and_removed_later(
    folder: Path, entry: Path
) -> None:
    killed = process(entry, "stop while writing")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "writing\n"
    killed.kill()
    killed.communicate()
    (left,) = folder.rglob(".partial-*")
    assert read(entry, MEMBER) is None
    write(entry, MEMBER, b"data")
    assert not left.exists()
    assert read(entry, MEMBER) == b"data"


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    entry = tmp_path / "file" / "bundle" / "member_0"
    write(entry, MEMBER, b"data")
    assert read(entry, MEMBER) is None


def test_the_oldest_entries_are_removed_from_a_cache_that_is_too_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        (folder / name).mkdir(parents=True)
        (folder / name / "compiled.bin").write_bytes(bytes(100))
        os.utime(folder / name, (10**9 - age, 10**9 - age))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 300)
    write(folder / "just made" / "member_0", MEMBER, bytes(10))
    assert sorted(entry.name for entry in folder.iterdir()) == ["just made", "new"]


def test_other_files_in_the_folder_of_the_variable_are_not_removed(
    entry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "cache" / "scans"
    scans.mkdir(parents=True)
    (scans / "scan.nii").write_bytes(bytes(1000))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 300)
    write(entry, MEMBER, bytes(10))
    assert (scans / "scan.nii").exists()
