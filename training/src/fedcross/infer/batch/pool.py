"""Threads that segment cases, each with a process of its own."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from fedcross.infer.batch.case import Case
from fedcross.infer.batch.one_case import Batch, Outcome, segment_case
from fedcross.infer.batch.worker import Worker, share_processors


class Pool(AbstractContextManager["Pool"]):
    """Segments cases in their order with several processes; iterate over it to get the outcomes.

    A context manager: at the end the processes are ended, also after Ctrl-C.

    Parameters
    ----------
    cases
        All cases.
    batch
        What to do with each.
    workers
        Number of processes, 1 or more.
    """

    def __init__(self, cases: Sequence[Case], batch: Batch, workers: int) -> None:
        self._count, self._batch = len(cases), batch
        self._waiting: queue.SimpleQueue[tuple[int, Case]] = queue.SimpleQueue()
        for numbered in enumerate(cases):
            self._waiting.put(numbered)
        self._ended: queue.SimpleQueue[tuple[int, Outcome | BaseException]] = queue.SimpleQueue()
        shares = share_processors(min(workers, len(cases)))
        self._workers = [Worker(share) for share in shares]
        self._is_closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True)
            for worker in self._workers
        ]

    def __enter__(self) -> "Pool":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed.set()
        for worker in self._workers:
            worker.close()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[int, Outcome]]:
        """Yield the number of each case and its outcome, as they end; raise what is unexpected."""
        for _ in range(self._count):
            index, outcome = self._ended.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield index, outcome

    def _work(self, worker: Worker) -> None:
        while not self._is_closed.is_set():
            try:
                index, case = self._waiting.get_nowait()
            except queue.Empty:
                return
            outcome: Outcome | BaseException
            try:
                outcome = segment_case(case, self._batch, worker)
            except Exception as error:  # noqa: BLE001 - the thread that iterates raises it
                outcome = error
            self._ended.put((index, outcome))
