"""Threads that work on many items, each with a process of its own."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class Closable(Protocol):
    """A process that can be ended at once, also while another thread waits for it."""

    def close(self) -> None:
        """End the process at once."""


OneWorker = TypeVar("OneWorker", bound=Closable)


class Pool(
    AbstractContextManager["Pool[Item, OneWorker, Outcome]"], Generic[Item, OneWorker, Outcome]
):
    """Works on items in their order with several processes; iterate over it to get the outcomes.

    A context manager: at the end the processes are ended, also after Ctrl-C.

    Parameters
    ----------
    items
        All items, such as cases.
    workers
        A process for each thread, at least one.
    work
        Returns the outcome of an item, for which it asks a process.
    """

    def __init__(
        self,
        items: Sequence[Item],
        workers: Sequence[OneWorker],
        work: Callable[[Item, OneWorker], Outcome],
    ) -> None:
        self._count, self._work_on = len(items), work
        self._waiting: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
        for numbered in enumerate(items):
            self._waiting.put(numbered)
        self._ended: queue.SimpleQueue[tuple[int, Outcome] | BaseException] = queue.SimpleQueue()
        self._workers = workers
        self._is_closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in workers
        ]

    def __enter__(self) -> "Pool[Item, OneWorker, Outcome]":
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
        """Yield the number of each item and its outcome, as they end; raise what `work` raises."""
        for _ in range(self._count):
            ended = self._ended.get()
            if isinstance(ended, BaseException):
                raise ended
            yield ended

    def _work(self, worker: OneWorker) -> None:
        while not self._is_closed.is_set():
            try:
                index, item = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._ended.put((index, self._work_on(item, worker)))
            except Exception as error:  # noqa: BLE001 - the thread that iterates raises it
                self._ended.put(error)
