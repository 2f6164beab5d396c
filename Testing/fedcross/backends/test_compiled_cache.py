"""What is kept of compiled members, against everything that happens to files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.backends import compiled_cache as cache
from fedcross.backends.compiled_cache import CACHE_VARIABLE, cache_folder, read, write

MEMBER = "ab" * 32

AS_A_PROCESS = """
import sys, time
from fedcross.backends import compiled_cache as cache
if sys.argv[1] == "stop while writing":
    def stop(*_):
        print("writing", flush=True)
        time.sleep(600)
    cache._hashes = stop
cache.write(cache.cache_folder() / "bundle" / "member_0", sys.argv[2], bytes(10**6))
print("done")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "fedcross" / "openvino"


@pytest.fixture
def place(folder: Path) -> Path:
    return folder / "bundle" / "member_0"


def process(what: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", AS_A_PROCESS, what, MEMBER]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_is_kept_is_read(place: Path) -> None:
    assert read(place, MEMBER) is None
    write(place, MEMBER, b"data")
    assert read(place, MEMBER) == b"data"
    assert [entry.name for entry in place.parent.iterdir()] == ["member_0"]


def test_the_folder_is_the_systems_usual_one_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == tmp_path / "cache" / "fedcross" / "openvino"
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "fedcross" / "openvino"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "fedcross" / "openvino"


def test_members_whose_files_were_swapped_are_not_taken_for_one_another(folder: Path) -> None:
    zero, one = (folder / "bundle" / f"member_{index}" for index in range(2))
    write(zero, MEMBER, b"zero")
    write(one, "cd" * 32, b"one")
    zero.rename(folder / "aside")
    one.rename(zero)
    (folder / "aside").rename(one)
    assert (read(zero, MEMBER), read(one, "cd" * 32)) == (None, None)
    write(zero, MEMBER, b"zero")
    assert read(zero, MEMBER) == b"zero"  # nothing was left in its way


@pytest.mark.parametrize("file", ["compiled.bin", "sha256.json"])
@pytest.mark.parametrize("harm", ["cut", "gone", "changed"])
def test_what_is_damaged_counts_as_not_there_and_can_be_kept_anew(
    place: Path, file: str, harm: str
) -> None:
    write(place, MEMBER, b"some data")
    path = place / file
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:3] if harm == "cut" else data[:-1] + b"!")
    assert read(place, MEMBER) is None
    write(place, MEMBER, b"some data")
    assert read(place, MEMBER) == b"some data"


@pytest.mark.parametrize("what", ["file", "link", "folder", "hashes of another form"])
def test_something_foreign_in_an_entrys_place_is_replaced(
    place: Path, tmp_path: Path, what: str
) -> None:
    write(place, MEMBER, b"data")
    if what == "hashes of another form":
        (place / "sha256.json").write_text(json.dumps({"a": 1}))
    else:
        shutil.rmtree(place)
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "file").write_text("not ours")
        if what == "file":
            place.write_text("foreign")
        elif what == "link":
            place.symlink_to(tmp_path / "precious")
        else:
            (place / "inner").mkdir(parents=True)
    assert read(place, MEMBER) is None
    write(place, MEMBER, b"data")
    assert read(place, MEMBER) == b"data"
    if what == "link":
        assert (tmp_path / "precious" / "file").read_text() == "not ours"


def test_two_processes_may_keep_the_same_at_the_same_time(folder: Path, place: Path) -> None:
    both = [process(), process()]
    assert [one.communicate()[0].strip() for one in both] == ["done", "done"]
    assert read(place, MEMBER) == bytes(10**6)
    assert not list(folder.rglob(".partial-*"))


def test_whoever_comes_second_throws_its_own_away(folder: Path, place: Path) -> None:
    write(place, MEMBER, b"first")
    write(place, MEMBER, b"second")
    assert read(place, MEMBER) == b"first"
    assert not list(folder.rglob(".partial-*"))


def test_a_process_killed_while_writing_leaves_nothing_that_is_read(
    folder: Path, place: Path
) -> None:
    killed = process("stop while writing")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "writing\n"
    killed.kill()
    killed.communicate()
    (left,) = folder.rglob(".partial-*")
    assert read(place, MEMBER) is None
    write(place, MEMBER, b"data")
    assert left.exists()  # it might have been at work still
    os.utime(left, (10**9, 10**9))
    write(place.with_name("member_1"), MEMBER, b"data")
    assert not left.exists()


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    place = cache_folder() / "bundle" / "member_0"
    write(place, MEMBER, b"data")
    assert read(place, MEMBER) is None


def test_the_cache_keeps_what_was_made_last(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate(("new", "old", "oldest")):
        (folder / name).mkdir(parents=True)
        (folder / name / "compiled.bin").write_bytes(bytes(100))
        os.utime(folder / name, (10**9 - age, 10**9 - age))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 300)
    write(folder / "just made" / "member_0", MEMBER, bytes(10))
    assert sorted(entry.name for entry in folder.iterdir()) == ["just made", "new"]


def test_other_things_in_the_folder_that_was_named_stay(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = tmp_path / "cache" / "scans"
    scans.mkdir(parents=True)
    (scans / "scan.nii").write_bytes(bytes(1000))
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 300)
    write(place, MEMBER, bytes(10))
    assert (scans / "scan.nii").exists()
