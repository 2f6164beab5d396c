"""Fail every write of a command once, and look at what is left.

    python Testing/faults/faults.py                    # all cases, every call
    python Testing/faults/faults.py export --every 5   # one case, every fifth call

Each case runs one command of ``fedcross`` in a folder of its own. Attempt n fails the n-th system call
that creates, writes, flushes, renames or makes something below this folder, with ENOSPC and then with
EIO (`shim.c`, preloaded; a C compiler is needed). After every attempt these must hold:

- the exit code is 0 or 2, and stderr has one line at most;
- what was there before is whole, or the new one is;
- after a failure the same command, or the one that continues it, succeeds;
- no hidden file is left.

The attempts are forks of one process that has imported everything, so that each takes a second or less.
"""

import argparse
import ctypes
import errno
import io
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
READY = "FEDCROSS_FAULT_SHIM"
ERRORS = (errno.ENOSPC, errno.EIO)
HIDDEN = (".partial-", ".replaced-")


@dataclass(frozen=True)
class Case:
    """A command, what it needs, and what must hold afterwards.

    Attributes
    ----------
    name
        Name of the case.
    prepare
        Writes the inputs, and a result of an earlier run, into an empty folder.
    arguments
        The command line, with paths relative to the folder.
    check
        Raises an AssertionError if the folder holds something damaged. It receives the exit code.
    again
        The command line that must succeed after a failed attempt; None for the same one.
    """

    name: str
    prepare: Callable[[Path], None]
    arguments: Sequence[str]
    check: Callable[[Path, int], None]
    again: Callable[[Path], Sequence[str]] | None = None


@dataclass(frozen=True)
class Attempt:
    """How one run of a command ended: exit code, stderr, number of calls seen, the failed call."""

    code: int
    errors: str
    seen: int
    failed: str


def compile_shim(folder: Path) -> Path:
    """Compile `shim.c` into a folder."""
    shim = folder / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(shim), str(HERE / "shim.c"), "-ldl"]
    subprocess.run(command, check=True)
    return shim


def run(arguments: Sequence[str], folder: Path, number: int = 0, error: int = 0) -> Attempt:
    """Run a command in a fork of this process; its call `number` fails, or none if that is 0."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            report = _run_here(arguments, folder, number, error)
        except BaseException:  # noqa: BLE001 - the parent must hear of everything
            report = f"1\n0\n\n{traceback.format_exc()}"
        os.write(writer, report.encode(errors="replace")[:60_000])
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as stream:
        code, seen, failed, *errors = stream.read().split("\n")
    os.waitpid(child, 0)
    return Attempt(int(code), "\n".join(errors).strip(), int(seen), failed)


def _run_here(arguments: Sequence[str], folder: Path, number: int, error: int) -> str:
    from fedcross.cli import main

    shim = ctypes.CDLL(None)
    shim.fault_failed.restype = ctypes.c_char_p
    os.chdir(folder)
    sys.argv = ["fedcross", *arguments]
    errors, code = io.StringIO(), 0
    shim.fault_arm(ctypes.c_long(number), error, os.fsencode(folder))
    try:
        with redirect_stderr(errors), redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    shim.fault_disarm()
    shim.fault_seen.restype = ctypes.c_long
    failed = (shim.fault_failed() or b"").decode(errors="replace")
    return f"{code}\n{shim.fault_seen()}\n{failed.replace(str(folder), '')}\n{errors.getvalue()}"


def try_case(case: Case, every: int = 1, errors: Sequence[int] = ERRORS) -> Iterator[str]:
    """Yield a sentence for everything that is wrong after an attempt; nothing if all is right.

    Parameters
    ----------
    case
        What to try.
    every
        1 fails each call in turn, 5 every fifth.
    errors
        Error numbers of the failing call.
    """
    with tempfile.TemporaryDirectory(prefix="fedcross-faults-") as temporary:
        base = Path(temporary).resolve()
        prepared, folder = base / "prepared", base / "here"
        prepared.mkdir()
        case.prepare(prepared)
        shutil.copytree(prepared, folder)
        whole = run(case.arguments, folder)
        assert whole.code == 0, f"{case.name} fails without a fault: {whole.errors}"
        for number in range(1, whole.seen + 1, every):
            for error in errors:
                shutil.rmtree(folder)
                shutil.copytree(prepared, folder)
                attempt = run(case.arguments, folder, number, error)
                where = f"{case.name}, call {number} ({attempt.failed}), {errno.errorcode[error]}"
                for wrong in _look(case, folder, attempt):
                    yield f"{where}: {wrong}"


def _look(case: Case, folder: Path, attempt: Attempt) -> Iterator[str]:
    if attempt.code not in (0, 2):
        yield f"exit code {attempt.code}: {attempt.errors[-300:]}"
    if len(attempt.errors.splitlines()) > 1:
        yield f"more than one line: {attempt.errors[-300:]}"
    try:
        case.check(folder, attempt.code)
    except Exception as error:  # noqa: BLE001 - any error is a finding
        yield f"damaged after exit code {attempt.code}: {error}"
    if attempt.code != 0:
        second = run(case.arguments if case.again is None else case.again(folder), folder)
        if second.code != 0:
            yield f"cannot be repeated: {second.errors[-300:]}"
            return
        try:
            case.check(folder, 0)
        except Exception as error:  # noqa: BLE001 - as above
            yield f"damaged after the repetition: {error}"
    left = [
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(HIDDEN)
    ]
    if left:
        yield f"left behind: {left[0]}"


def main() -> int:
    """Try the cases; print what is wrong; return the exit code."""
    from fault_cases import CASES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    wrong = 0
    for case in CASES:
        if given.cases and case.name not in given.cases:
            continue
        found = 0
        for sentence in try_case(case, given.every):
            print(sentence, flush=True)
            found += 1
        print(f"{case.name}: {found or 'nothing'} wrong", flush=True)
        wrong += found
    return 1 if wrong else 0


def start_with_shim() -> None:
    """Start this program again with the shim preloaded, unless it is."""
    if READY in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="fedcross-shim-"))
    try:
        shim = str(compile_shim(folder))
        environment = {**os.environ, READY: shim, "LD_PRELOAD": shim, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([sys.executable, *sys.argv], env=environment, check=False)
    finally:
        shutil.rmtree(folder)
    sys.exit(done.returncode)


if __name__ == "__main__":
    start_with_shim()
    sys.exit(main())
