import ast
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError, FedCrossError, OutputError
from fedcross.runtime.files import atomic, partial
from fedcross.runtime.files.atomic import (
    HINT,
    atomic_file,
    atomic_folder,
    atomic_path,
    scratch_folder,
    write_atomically,
)
from fedcross.runtime.files.folders import make_folder, new_folder
from fedcross.runtime.files.partial import PARTIAL, REPLACED, hidden_name, remove_all_hidden

from .faults import FAULTS, FaultyDisk

NEW = b"new" * 100_000  # longer than the buffer of an open file
Write = Callable[..., None]


def write_data(target: Path, data: bytes = NEW, **options: bool) -> None:
    write_atomically(target, data, **options)


def write_stream(target: Path, data: bytes = NEW, **options: bool) -> None:
    with atomic_file(target, **options) as file:
        for part in (data[:10], data[10:]):
            file.write(part)


def write_text(target: Path, data: bytes = NEW, **options: bool) -> None:
    with atomic_file(target, "w", newline="", **options) as file:
        file.write(data.decode())


def write_by_name(target: Path, data: bytes = NEW, **options: bool) -> None:
    with atomic_path(target, **options) as path, open(path, "wb") as file:
        file.write(data)


def write_folder(target: Path, data: bytes = NEW, **options: bool) -> None:
    with atomic_folder(target, **options) as folder:
        (folder / "inner").mkdir()
        for name in ("a", "inner/b"):
            with open(folder / name, "wb") as file:
                file.write(data)


FILES = (write_data, write_stream, write_text, write_by_name)
WRITERS = (*FILES, write_folder)
every_writer = pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)


def content(target: Path) -> bytes | None:
    """The bytes of a file, or of each file of a folder; None if it is absent."""
    if target.is_dir():
        assert {str(path.relative_to(target)) for path in target.rglob("*")} == {
            "a",
            "inner",
            os.path.join("inner", "b"),
        }
        one, other = (target / "a").read_bytes(), (target / "inner" / "b").read_bytes()
        assert one == other
        return one
    return target.read_bytes() if target.exists() else None


def message_of(write: Write, target: Path) -> str:
    try:
        write(target, durable=True)
    except OutputError as error:
        return str(error)
    return ""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@every_writer
@pytest.mark.parametrize("durable", [False, True])
def test_the_target_is_made_and_replaced(tmp_path: Path, write: Write, durable: bool) -> None:
    for data in (b"old", NEW):
        write(tmp_path / "t", data, durable=durable)
        assert content(tmp_path / "t") == data
        assert names(tmp_path) == ["t"]


@every_writer
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("code", FAULTS, ids=errno.errorcode.get)
def test_the_target_is_whole_and_nothing_else_is_left_whatever_operation_fails(
    tmp_path: Path, write: Write, exists: bool, code: int
) -> None:
    target, old = tmp_path / "t", b"old" if exists else None
    failed = []
    for n in count(1):
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        if old is not None:
            write(target, old)
        with pytest.MonkeyPatch.context() as patch:
            disk = FaultyDisk(patch, n, code)
            message = message_of(write, target)
        assert message == (
            f"t cannot be written: {os.strerror(code)}. {HINT}" if disk.happened else ""
        )
        assert names(tmp_path) == (["t"] if target.exists() else [])
        if not disk.happened:
            break
        # Only the last operation, which waits for the new name to be on the disk, follows the exchange.
        assert content(target) == old or (disk.happened == "fsync" and content(target) == NEW)
        failed.append(disk.happened)
    assert content(target) == NEW
    assert {"open", "write", "fsync"} < set(failed)
    assert failed[-2:] == ["rename" if write is write_folder else "replace", "fsync"]


@every_writer
def test_an_error_while_cleaning_up_does_not_hide_the_first_one(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("unlink", "rmdir", "remove"):
        monkeypatch.setattr(os, name, fail)
    FaultyDisk(monkeypatch, 2, errno.ENOSPC)
    with pytest.raises(OutputError, match="No space left on device"):
        write(tmp_path / "t")
    assert not (tmp_path / "t").exists()


@every_writer
def test_an_interrupted_write_leaves_the_old_target_alone(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "t", b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "t", durable=True)
    assert names(tmp_path) == ["t"]
    assert content(tmp_path / "t") == b"old"


def test_an_interruption_is_not_hidden_by_a_full_disk_on_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FaultyDisk(monkeypatch, 3, errno.ENOSPC)  # 1 and 2 make the file and open it

    def interrupted() -> None:
        with atomic_file(tmp_path / "t") as file:
            file.write(b"in the buffer")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert disk.happened == "write"
    assert names(tmp_path) == []


@pytest.mark.parametrize("mask", [0o022, 0o077])
@every_writer
def test_permissions_are_the_usual_ones_whatever_the_old_ones_were(
    tmp_path: Path, write: Write, mask: int
) -> None:
    with umask(mask):
        for _ in range(2):
            write(tmp_path / "t")
            for path in (tmp_path / "t", *(tmp_path / "t").rglob("*")):
                usual = (0o777 if path.is_dir() else 0o666) & ~mask
                assert stat.S_IMODE(path.stat().st_mode) == usual
            (tmp_path / "t").chmod(0o700)


def test_permissions_that_the_block_sets_are_kept(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "t") as folder:
        folder.chmod(0o700)
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o700


@every_writer
def test_of_two_threads_that_write_one_target_each_writes_all_or_nothing(
    tmp_path: Path, write: Write
) -> None:
    errors: list[OutputError] = []
    start = threading.Barrier(2)

    def repeat(data: bytes) -> None:
        start.wait()
        for _ in range(20):
            try:
                write(tmp_path / "t", data)
            except OutputError as error:
                errors.append(error)

    threads = [threading.Thread(target=repeat, args=(data,)) for data in (NEW, b"other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert content(tmp_path / "t") in (NEW, b"other")
    assert names(tmp_path) == ["t"]
    # A folder cannot be exchanged in one step, so the second of two writers may be refused.
    assert write is write_folder or not errors


@every_writer
def test_two_writers_never_share_a_hidden_name(tmp_path: Path, write: Write) -> None:
    seen = []
    real = hidden_name

    def record(kind: str, target: Path) -> Path:
        seen.append(real(kind, target))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "hidden_name", record)
        for _ in range(3):
            write(tmp_path / "t")
    assert len(set(seen)) == len(seen) >= 3


@every_writer
def test_the_caller_chooses_the_class_of_the_error(tmp_path: Path, write: Write) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"^t cannot be written: \w.*\. Check the folder's"):
        write(tmp_path / "file" / "t", error_class=CheckpointError)


def test_a_folders_error_names_what_the_caller_calls_it(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"^Round 3 cannot be written: Full\. Make room\.$"),
        atomic_folder(tmp_path / "t", subject="Round 3", hint="Make room."),
    ):
        raise OSError(errno.ENOSPC, "Full")


@pytest.mark.parametrize("write", [atomic_file, atomic_path, atomic_folder])
def test_a_closed_pipe_and_the_callers_own_errors_are_not_translated(
    tmp_path: Path, write: Write
) -> None:
    for error in (BrokenPipeError(), FedCrossError("first"), ValueError("a bug")):
        with pytest.raises(type(error)) as caught, write(tmp_path / "t"):
            raise error
        assert caught.value is error
    assert names(tmp_path) == []


def test_a_folder_puts_the_old_one_back_if_the_exchange_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "t", b"old")
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if source.name.startswith(PARTIAL):
            assert not (tmp_path / "t").exists()
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_folder(tmp_path / "t")
    assert content(tmp_path / "t") == b"old"
    assert names(tmp_path) == ["t"]


def test_the_only_copy_of_an_old_folder_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "t", b"old")
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if source.name != "t":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        write_folder(tmp_path / "t")
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith(REPLACED)
    assert content(kept) == b"old"


def test_a_folder_replaces_a_file_and_a_link_but_not_what_the_link_points_to(
    tmp_path: Path,
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("precious")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "file").touch()
    for name in ("link", "dangling", "file"):
        write_folder(tmp_path / name)
        assert content(tmp_path / name) == NEW
    assert names(tmp_path) == ["dangling", "file", "link", "precious"]
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_folder_that_must_not_be_replaced_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "t", b"old")
    with pytest.raises(OutputError, match="t cannot be written: "):
        write_folder(tmp_path / "t", replace=False)
    assert content(tmp_path / "t") == b"old"
    assert names(tmp_path) == ["t"]
    write_folder(tmp_path / "parents" / "are" / "made", replace=False)


@every_writer
def test_a_new_target_whose_name_does_not_reach_the_disk_is_removed(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail_in_parent(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_in_parent)
    with pytest.raises(OutputError, match="t cannot be written: Input/output error"):
        write(tmp_path / "t", durable=True)
    assert names(tmp_path) == []


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "t")
    for write in FILES:
        with pytest.raises(OutputError, match="t cannot be written: "):
            write(tmp_path / "t")
    assert content(tmp_path / "t") == NEW
    assert names(tmp_path) == ["t"]


def test_a_library_gets_a_name_with_the_targets_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "volume.nii.gz") as path:
        assert path.name.endswith("volume.nii.gz")
        assert path.parent == tmp_path


def test_the_longest_name_that_a_file_can_have_is_written(tmp_path: Path) -> None:
    name = "é" * 125 + ".nrrd"  # 255 bytes
    write_atomically(tmp_path / name, b"data")
    assert names(tmp_path) == [name]


def test_text_is_utf_8_with_the_line_ends_that_were_asked_for(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "t.csv", "w", newline="") as file:
        file.write("é,1\r\n")
    assert (tmp_path / "t.csv").read_bytes() == "é,1\r\n".encode()


def test_a_scratch_folder_is_removed_after_the_block_and_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with scratch_folder(tmp_path / "t") as folder:
            (folder / "file").touch()
            raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        fail()
    assert names(tmp_path) == []
    with scratch_folder(tmp_path / "t") as folder:
        folder.rename(tmp_path / "moved")
    assert names(tmp_path) == ["moved"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    with pytest.raises(OutputError, match=r"^The folder b cannot be made: "):
        make_folder(tmp_path / "file" / "b")
    with pytest.raises(CheckpointError, match=r"^The run b cannot be made: "):
        make_folder(tmp_path / "file" / "b", error_class=CheckpointError, subject="The run b")


def test_new_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    with new_folder(tmp_path / "old"):
        pass
    with new_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept").touch()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "a",
        "a/kept",
        "old",
    ]


def test_after_an_error_the_new_parents_of_a_folder_are_removed(tmp_path: Path) -> None:
    with pytest.raises(OutputError), atomic_folder(tmp_path / "a" / "b") as partial:
        (partial / "absent").unlink()
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_cannot_flush_folders_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    for write in (write_data, write_folder):
        write(tmp_path / write.__name__, durable=True)
        assert content(tmp_path / write.__name__) == NEW


WRITES_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from fedcross.runtime.files.atomic import atomic_file
from fedcross.runtime.files.atomic import atomic_folder
write = atomic_folder if sys.argv[1] == "write_folder" else atomic_file
with write(Path(sys.argv[2])) as written:
    if isinstance(written, Path):
        (written / "a").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


@every_writer
def test_what_a_killed_process_left_is_removed_by_the_next_writer(
    tmp_path: Path, write: Write
) -> None:
    arguments = [sys.executable, "-c", WRITES_UNTIL_KILLED, write.__name__, str(tmp_path / "t")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        write(tmp_path / "other")
        write(tmp_path / "t", b"old")
        (left,) = [name for name in names(tmp_path) if name.startswith(PARTIAL)]  # still running
        child.send_signal(signal.SIGKILL)
    write(tmp_path / "other")
    assert names(tmp_path) == [left, "other", "t"]  # another target's
    write(tmp_path / "t")
    assert names(tmp_path) == ["other", "t"]
    assert content(tmp_path / "t") == NEW


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def of_process(path: Path, pid: int, machine: str | None = None) -> Path:
    """The hidden name that another process would have given."""
    name = path.name.replace(f"-{os.getpid()}-", f"-{pid}-")
    if machine is not None:
        name = name.replace(partial._machine(), machine)
    return path.with_name(name)


def test_what_may_be_in_use_is_left(tmp_path: Path) -> None:
    mine, dead = hidden_name(PARTIAL, tmp_path / "t"), dead_process()
    kept = [
        mine,
        of_process(mine, os.getppid()),
        of_process(mine, dead, machine="0" * 8),
        tmp_path / f"{PARTIAL}of-another-program-t",
        of_process(hidden_name(PARTIAL, tmp_path / "t.old"), dead),
        of_process(hidden_name(PARTIAL, tmp_path / "not-t"), dead),
    ]
    for path in (*kept, of_process(mine, dead)):
        path.touch()
    write_atomically(tmp_path / "t", b"data")
    assert names(tmp_path) == sorted(["t", *(path.name for path in kept)])


def test_an_old_folder_that_a_killed_process_moved_aside_is_removed_after_the_next_success(
    tmp_path: Path,
) -> None:
    aside = of_process(hidden_name(REPLACED, tmp_path / "t"), dead_process())
    write_folder(aside, b"old")
    with pytest.raises(OutputError), atomic_folder(tmp_path / "t"):
        raise OSError(errno.ENOSPC, "Full")
    assert content(aside) == b"old"
    write_folder(tmp_path / "t")
    assert names(tmp_path) == ["t"]


def test_the_only_writer_of_a_folder_can_remove_everything_hidden(tmp_path: Path) -> None:
    hidden_name(PARTIAL, tmp_path / "a").touch()
    hidden_name(REPLACED, tmp_path / "b").mkdir()
    (tmp_path / "kept").touch()
    (tmp_path / ".kept").touch()
    remove_all_hidden(tmp_path)
    remove_all_hidden(tmp_path / "absent")
    assert names(tmp_path) == [".kept", "kept"]


def test_the_writer_needs_the_standard_library_only() -> None:
    package = Path(atomic.__file__).parents[2]
    code = f"""
import sys
sys.path.insert(0, {str(package.parent)!r})
import fedcross.runtime.files.atomic
print(*{{module.partition(".")[0] for module in sys.modules}})
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"fedcross", "__main__"}


RENAMES = re.compile(r"\.(replace|rename|renames)$")


def test_nothing_in_the_package_renames_files_in_a_way_of_its_own() -> None:
    package = Path(atomic.__file__).parents[2]
    allowed = {
        "runtime/files/atomic.py",
        "runtime/files/publish.py",  # moves finished results, one by one
        "model/bundle_zip.py",  # moves the unpacked folder into the new one
        "federate/kits/visit_log.py",  # puts a full log aside
        "federate/kits/provision.py",  # sorts what was made inside the new folder
    }
    users = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and len(node.args) in (1, 2):
                call = ast.unparse(node.func)
                if call in ("os.replace", "os.rename", "tempfile.mkstemp") or (
                    RENAMES.search(call) and len(node.args) == 1 and not node.keywords
                ):
                    users.add(path.relative_to(package).as_posix())
    assert users == allowed
