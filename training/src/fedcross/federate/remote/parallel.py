"""Calls a function for several items at the same time."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def map_in_parallel(function: Callable[[T], U], items: Sequence[T]) -> Iterator[U]:
    """Yield ``function(item)`` in the items' order; each call runs in a thread of its own."""
    if items:
        with ThreadPoolExecutor(len(items)) as pool:
            yield from pool.map(function, items)
