"""Starts and asks a process that segments one case after another, `fedcross.infer.child.worker`."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress

from fedcross.contract.events import ErrorEvent, ResultEvent, read_event
from fedcross.contract.exits import DEBUG_VARIABLE, DONE, INTERRUPTED
from fedcross.contract.request import MODULE, WORKER_FLAG, SegmentRequest
from fedcross.runtime.plugins import VARIABLE, allowed_plugins

_THREADS = "OMP_NUM_THREADS"


class Worker:
    """Segments one case after another in a process that keeps the models in memory.

    The process is started with the first case, and again after it ended.

    Parameters
    ----------
    processors
        Numbers of the processors that it may use; None for all.
    """

    def __init__(self, processors: Collection[int] | None = None) -> None:
        self._processors = processors
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def segment(self, request: SegmentRequest) -> ErrorEvent | None:
        """Segment a case; return the error if it fails."""
        line = json.dumps(request.words()).encode("ascii") + b"\n"
        answer = self._ask(line)
        if answer == DONE:  # it had ended by itself, to release memory, before it read the request
            answer = self._ask(line)
        if isinstance(answer, int):
            return _describe_end(answer)
        return answer if isinstance(answer, ErrorEvent) else None

    def close(self) -> None:
        """End the process at once, also while `segment` waits for it in another thread.

        Its results are written whole or not at all.
        """
        with self._lock:
            self._is_closed, process = True, self._process
        if process is not None:
            process.kill()
            process.wait()
            _close_pipes(process)

    def _ask(self, line: bytes) -> ResultEvent | ErrorEvent | int:
        """Send a request; return the last event, or the exit code if the process ends without one."""
        process = self._ensure_process()
        if process is None or process.stdin is None or process.stdout is None:
            return INTERRUPTED
        with suppress(OSError):  # the process has ended; then there is no event either
            process.stdin.write(line)
            process.stdin.flush()
        with suppress(ValueError):  # `close` has closed the pipe
            for text in process.stdout:
                event = read_event(text.decode("utf-8", errors="replace"))
                if isinstance(event, ResultEvent | ErrorEvent):
                    return event
        code = process.wait()
        with self._lock:
            self._process = None
            is_closed = self._is_closed
        _close_pipes(process)
        return INTERRUPTED if is_closed else code

    def _ensure_process(self) -> subprocess.Popen[bytes] | None:
        """Return the process, started if there is none; None after `close`."""
        with self._lock:
            if self._process is None and not self._is_closed:
                self._process = self._start()
            return None if self._is_closed else self._process

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {**os.environ, VARIABLE: ",".join(allowed_plugins())}
        if self._processors is not None:
            environment.setdefault(_THREADS, str(len(self._processors)))
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, WORKER_FLAG],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get(DEBUG_VARIABLE) else subprocess.DEVNULL,
            env=environment,
        )
        if self._processors is not None and sys.platform == "linux":
            with suppress(OSError):  # OpenVINO takes its number of threads from this
                os.sched_setaffinity(process.pid, self._processors)
        return process


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not sent is lost
                pipe.close()


def _describe_end(code: int) -> ErrorEvent:
    if code == INTERRUPTED:
        return ErrorEvent("Interrupted", "Interrupted.", "")
    return ErrorEvent(
        "ProcessEnded",
        f"The process that segments has ended with code {code}, as it does when memory runs out.",
        "Use fewer --workers, or crop the volume.",
    )


def share_processors(workers: int) -> list[list[int] | None]:
    """Return the processors of each worker: an equal share, or None for all of them.

    None for one worker, and if there are fewer processors than workers.
    """
    available = sorted(
        os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    )
    if workers == 1 or len(available) < workers:
        return [None] * workers
    return [available[index::workers] for index in range(workers)]
