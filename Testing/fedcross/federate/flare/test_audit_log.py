"""FLARE's audit log stays below a size while FLARE writes to it."""

import re
import stat
from pathlib import Path

import pytest
from nvflare.fuel.sec.audit import Auditor

from fedcross.errors import OutputError
from fedcross.federate.flare import audit_log as module
from fedcross.federate.flare.audit_log import AUDIT_LOG, bounded_audit_log, limit_size

LINE = re.compile(r"\[E:[0-9a-f-]{36}\]\[T:[^]]+\]\[U:admin\]\[A:status\]number=(\d+)")


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2000)


def numbers(path: Path) -> list[int]:
    found = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [int(each[1]) for each in found if each is not None]


def test_the_newest_lines_are_kept_in_three_files_and_flare_goes_on_writing(tmp_path: Path) -> None:
    path = tmp_path / AUDIT_LOG
    auditor = Auditor(str(path))
    path.chmod(0o600)
    for number in range(200):
        auditor.add_event("admin", "status", msg=f"number={number}")
        limit_size(path)
    auditor.close()
    files = [path.with_name(f"{AUDIT_LOG}.2"), path.with_name(f"{AUDIT_LOG}.1"), path]
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(each.name for each in files)
    kept = [number for each in files for number in numbers(each)]
    assert kept == list(range(kept[0], 200))
    assert len(kept) >= 2 * (2000 // 120)  # two full files of lines shorter than 120 bytes
    assert all(each.stat().st_size < 2200 for each in files)
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in files)


def test_a_small_or_absent_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / AUDIT_LOG
    limit_size(path)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"x" * 1999)
    limit_size(path)
    assert path.stat().st_size == 1999


def test_nothing_is_emptied_when_the_copy_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copy", fail)
    path = tmp_path / AUDIT_LOG
    path.write_bytes(b"x" * 3000)
    with pytest.raises(OutputError, match="No space left"):
        limit_size(path)
    with bounded_audit_log(tmp_path):  # says nothing
        pass
    assert [each.name for each in tmp_path.iterdir()] == [AUDIT_LOG]
    assert path.stat().st_size == 3000


def test_the_size_is_looked_at_when_the_kit_starts(tmp_path: Path) -> None:
    path = tmp_path / AUDIT_LOG
    path.write_bytes(b"x" * 3000)
    with bounded_audit_log(tmp_path):
        pass
    assert path.stat().st_size == 0
    assert path.with_name(f"{AUDIT_LOG}.1").stat().st_size == 3000
