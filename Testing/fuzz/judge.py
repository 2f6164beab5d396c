"""Read one input, and judge what happens: refused, accepted and right, or a failure.

The time is the CPU time of this process and its children. The memory is the largest resident memory
while the input is read less that before; Linux resets the peak on request (``/proc/self/clear_refs``).
Elsewhere it is the growth of the largest resident memory so far.
"""

import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.contract.exits import BAD_INPUT, explain
from fedcross.errors import FedCrossError
from fuzz.kind import Input, Kind

MAX_SECONDS = 1.0
MAX_BYTES = 200 * 10**6
HANG_S = 10
"""CPU seconds after which an input counts as a hang; the clock would count other programs, too."""
LONGEST_SENTENCE = 1000
REFUSED, ACCEPTED, FAILED = "refused", "accepted", "failed"
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Outcome:
    """What happened to an input: the verdict, the sentence or fault, CPU seconds, bytes of memory."""

    verdict: str
    reason: str
    seconds: float
    memory: int


class Hang(BaseException):
    """An input took longer than `HANG_S`; no `except Exception` of the program catches it."""


def judge(kind: Kind, one: Input, folder: Path) -> Outcome:
    """Write an input below a folder, read it, and judge.

    Parameters
    ----------
    kind
        Reads and verifies.
    one
        The input.
    folder
        A folder for the input (``input``) and for temporary files (``temporary``).
    """
    path, temporary = one.write(folder / "input"), folder / "temporary"
    temporary.mkdir(exist_ok=True)
    before = _files(folder)
    with _temporary_folder(temporary), _captured(folder / "output") as output:
        began, resident = _cpu_seconds(), _reset_peak()
        verdict, reason, result = _read(kind, path)
        seconds, memory = _cpu_seconds() - began, _peak() - resident
        if verdict == ACCEPTED:
            verdict, reason = _verify(kind, result, one, path)
        if printed := output.read_bytes():
            verdict, reason = FAILED, f"printed {printed[:200]!r}"
    excess = _limits(seconds, memory)
    if left := sorted(_files(folder) - before - {output}):
        excess = f"left behind: {left[0].relative_to(folder)}"
    if excess and verdict != FAILED:
        verdict, reason = FAILED, excess
    return Outcome(verdict, reason, seconds, memory)


def _read(kind: Kind, path: Path) -> tuple[str, str, Any]:
    try:
        with _alarm():
            return ACCEPTED, "", kind.read(path)
    except FedCrossError as error:
        reason = _wrong_sentence(error, path)
        return (FAILED, reason, None) if reason else (REFUSED, str(error), None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - each is a finding
        return FAILED, _describe(error), None


def _verify(kind: Kind, result: Any, one: Input, path: Path) -> tuple[str, str]:
    try:
        kind.verify(result, one, path)
    except Exception as error:  # noqa: BLE001 - each is a finding
        return FAILED, f"wrong: {_describe(error)}"
    return ACCEPTED, ""


def _wrong_sentence(error: FedCrossError, path: Path) -> str:
    """Return what is wrong with the end of the program after this error; empty if nothing."""
    code, event = explain(error)
    text = str(event)
    if code != BAD_INPUT or not text:
        return f"exit code {code}, {text!r}"
    if "\n" in str(error) or "\n" in text or len(text) > LONGEST_SENTENCE:
        return f"not one sentence: {str(error)[:300]!r}"
    return ""


def _describe(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    ours = [frame for frame in frames if "fedcross" in frame.filename]
    via = f" via {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__} at {place}{via}: {str(error)[:200]!r}"


def _limits(seconds: float, memory: int) -> str:
    if seconds > MAX_SECONDS:
        return f"took {seconds:.2f} s"
    return f"took {memory / 1e6:.0f} MB" if memory > MAX_BYTES else ""


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _captured(path: Path) -> Iterator[Path]:
    """Collect what libraries print, below Python as well."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("wb", buffering=0) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield path
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _reset_peak() -> int:
    """Set the peak of the resident memory to the present one, if the system can; return it."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return _status("VmRSS")


def _peak() -> int:
    if _CLEAR.exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
