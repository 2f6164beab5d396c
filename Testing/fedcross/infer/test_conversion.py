"""The cache of converted members against everything that happens to files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.infer import conversion
from fedcross.infer.conversion import converted_member
from fedcross.model.bundle import Bundle

pytest.importorskip("openvino")

AS_A_PROCESS = """
import sys, time
from pathlib import Path
from fedcross.infer import conversion
from fedcross.model.bundle import open_bundle
def convert(bundle, index):
    time.sleep(0.3)
    return b"<graph/>", bytes(10**6)
conversion._convert = convert
if sys.argv[2] == "stop while writing":
    def stop(*_):
        print("writing", flush=True)
        time.sleep(600)
    conversion._hashes = stop
print(len(conversion.converted_member(open_bundle(Path(sys.argv[1])), 0)[1]))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(conversion.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which members were converted, one after the other; the real thing is in `test_backends`."""
    done: list[int] = []

    def convert(bundle: Bundle, index: int) -> tuple[bytes, bytes]:
        done.append(index)
        return b"<graph/>", bytes([index]) * 100

    monkeypatch.setattr(conversion, "_convert", convert)
    return done


def process(bundle: Bundle, what: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", AS_A_PROCESS, str(bundle.path), what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_members_whose_files_were_swapped_are_not_taken_for_one_another(
    bundle: Bundle, cache: Path, conversions: list[int]
) -> None:
    first, second = converted_member(bundle, 0), converted_member(bundle, 1)
    (zero,), (one,) = cache.glob("*/member_0"), cache.glob("*/member_1")
    zero.rename(cache / "aside")
    one.rename(zero)
    (cache / "aside").rename(one)
    assert (converted_member(bundle, 0), converted_member(bundle, 1)) == (first, second)
    assert conversions == [0, 1, 0, 1]
    converted_member(bundle, 0)
    assert conversions == [0, 1, 0, 1]  # and the right ones are kept again


@pytest.mark.parametrize("what", ["file", "link", "folder", "hashes of another form"])
def test_something_foreign_in_a_members_place_is_replaced(
    bundle: Bundle, cache: Path, conversions: list[int], tmp_path: Path, what: str
) -> None:
    expected = converted_member(bundle, 0)
    (place,) = cache.glob("*/member_0")
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
    assert converted_member(bundle, 0) == expected
    assert converted_member(bundle, 0) == expected
    assert conversions == [0, 0]
    if what == "link":
        assert (tmp_path / "precious" / "file").read_text() == "not ours"


def test_two_processes_may_convert_at_the_same_time(
    bundle: Bundle, cache: Path, conversions: list[int]
) -> None:
    both = [process(bundle), process(bundle)]
    assert [one.communicate()[0].strip() for one in both] == ["1000000", "1000000"]
    assert converted_member(bundle, 0) == (b"<graph/>", bytes(10**6))
    assert conversions == []
    assert not list(cache.rglob(".partial-*"))


def test_a_process_killed_while_writing_leaves_nothing_that_is_read(
    bundle: Bundle, cache: Path, conversions: list[int]
) -> None:
    killed = process(bundle, "stop while writing")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "writing\n"
    killed.kill()
    killed.communicate()
    (left,) = cache.rglob(".partial-*")
    assert not list(cache.glob("*/member_0"))
    assert converted_member(bundle, 0) == (b"<graph/>", bytes(100))
    assert left.exists()  # it might have been at work still
    os.utime(left, (10**9, 10**9))
    converted_member(bundle, 1)
    assert not left.exists()
    assert conversions == [0, 1]


def test_another_version_of_openvino_converts_anew(
    bundle: Bundle, cache: Path, conversions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    converted_member(bundle, 0)

    class Newer:
        @staticmethod
        def get_version() -> str:
            return "2099.1-123-abc"

    monkeypatch.setattr(conversion, "openvino", Newer)
    converted_member(bundle, 0)
    assert conversions == [0, 0]
    assert len(list(cache.glob("*/member_0"))) == 2
