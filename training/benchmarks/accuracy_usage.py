"""Run a command, and record its time and memory in a file that a later start goes on with."""

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

USAGE, LOCK, LOG = "usage.json", "accuracy.lock", "log.txt"
INTERVAL_S = 2.0
END_S = 60.0


@dataclass(frozen=True)
class ProcessUsage:
    """Time and memory of all starts of a command, with all of its processes.

    Attributes
    ----------
    seconds
        Wall time, s.
    processor_s
        Processor time, s.
    peak_mb
        Largest memory of all processes together, in MB of 10^6 bytes; shared memory counts once.
    """

    seconds: float = 0.0
    processor_s: float = 0.0
    peak_mb: float = 0.0


def read_usage(folder: Path) -> ProcessUsage:
    """Return the usage so far; zeros before the first start."""
    path = folder / USAGE
    if not path.is_file():
        return ProcessUsage()
    return ProcessUsage(**json.loads(path.read_text(encoding="utf-8")))


@contextmanager
def run_lock(folder: Path) -> Iterator[int | None]:
    """Lock a run's folder; None if another process has it.

    A command that inherits the descriptor holds the lock, too. So a command that survives the process
    that started it is not started a second time.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        yield None
    finally:
        os.close(descriptor)


def run_recorded(
    command: Sequence[str], folder: Path, lock: int, env: Mapping[str, str] | None = None
) -> int:
    """Run a command, record its usage in `folder` and append its output to the log there.

    Parameters
    ----------
    command
        The command and its arguments.
    folder
        Folder of the run.
    lock
        Descriptor of the lock of `folder`.
    env
        Variables of the environment, beside those of this process.

    Returns
    -------
    int
        Exit code of the command.
    """
    before, began = read_usage(folder), time.perf_counter()
    busy: dict[int, float] = {}
    peak = before.peak_mb
    with (folder / LOG).open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            pass_fds=(lock,),
        )
        try:
            code: int | None = None
            while code is None:
                peak = max(peak, _sample(process.pid, busy))
                _write(
                    folder,
                    ProcessUsage(
                        before.seconds + time.perf_counter() - began,
                        before.processor_s + sum(busy.values()),
                        peak,
                    ),
                )
                try:
                    code = process.wait(INTERVAL_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                _end(process)
    return code


def _sample(pid: int, busy: dict[int, float]) -> float:
    """Return the memory of a process and its children, MB; put their processor time into `busy`."""
    memory = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for each in family:
        try:
            times = each.cpu_times()
            busy[each.pid] = times.user + times.system
            memory += each.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return memory / 1e6


def _write(folder: Path, usage: ProcessUsage) -> None:
    partial = folder / f"{USAGE}.part"
    partial.write_text(json.dumps(asdict(usage)) + "\n", encoding="utf-8")
    partial.replace(folder / USAGE)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
