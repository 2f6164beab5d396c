"""Call a function for many cases, here or in several processes, with the same outcomes."""

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from fedcross.errors import ConfigError
from fedcross.infer.batch.function_worker import FunctionWorker
from fedcross.infer.batch.pool import Pool
from fedcross.infer.models import Models
from fedcross.infer.warm import WarmModels

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def check_number(workers: int) -> None:
    """Raise `ConfigError` if a number of workers is below 1."""
    if workers < 1:
        raise ConfigError(f"The number of workers must be at least 1, got {workers}.", "Use 1.")


def call_for_each(
    function: Callable[[Item, Models], Outcome], cases: Sequence[Item], workers: int
) -> Generator[tuple[int, Outcome], None, None]:
    """Yield the number of each case and what the function returns for it, as they end.

    When the iteration ends, also by Ctrl-C, the processes are ended.

    Parameters
    ----------
    function
        Takes a case, and what opens bundle and back-end; both are kept from case to case. With several
        workers it is a function of a module, or a partial call of one.
    cases
        All cases; may be empty.
    workers
        Number of cases at the same time, at least 1. One is computed in this process, in order.

    Raises
    ------
    FedCrossError
        What the function raises first, or if a process has ended.
    """
    if min(workers, len(cases)) < 2:
        with WarmModels() as models:
            for index, case in enumerate(cases):
                yield index, function(case, models)
        return
    processes = [FunctionWorker() for _ in range(min(workers, len(cases)))]

    def call(case: Item, worker: FunctionWorker) -> Outcome:
        outcome: Outcome = worker.call(function, case)
        return outcome

    with Pool(cases, processes, call) as pool:
        yield from pool
