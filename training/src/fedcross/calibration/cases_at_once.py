"""Several labelled cases at the same time: whether the memory suffices, and their outcomes in order."""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import TypeVar

from fedcross.calibration.labelled_cases import LabelledCase
from fedcross.contract.measures import Measure
from fedcross.contract.request import RequestOptions
from fedcross.infer.batch.case import Case
from fedcross.infer.batch.functions import call_for_each, check_number
from fedcross.infer.batch.memory import check_workers
from fedcross.infer.models import Models
from fedcross.model.bundle import Bundle

Outcome = TypeVar("Outcome")


def check_cases_at_once(
    cases: Sequence[LabelledCase],
    bundle: Bundle,
    options: RequestOptions,
    workers: int,
    *,
    measures: Collection[Measure] = (),
) -> None:
    """Refuse a number of workers below 1, or more than the memory allows.

    Parameters
    ----------
    cases, bundle, options, measures
        See `fedcross.calibration.segmented_cases.segment_case`.
    workers
        Number of cases at the same time.

    Raises
    ------
    ConfigError
        If the number is below 1.
    DeviceError
        If the memory does not suffice; the hint has the number that would.
    """
    check_number(workers)
    stored = [Case(each.name, (each.files.image,)) for each in cases]
    check_workers(stored, bundle, options, workers, measures=measures)


def outcomes_of_sites(
    function: Callable[[LabelledCase, Models], Outcome],
    sites: Sequence[Sequence[LabelledCase]],
    workers: int,
    advance: Callable[[], None],
) -> list[list[Outcome]]:
    """Return the outcome of each case of each site, in the order of the cases.

    Parameters
    ----------
    function, workers
        See `fedcross.infer.batch.functions.call_for_each`.
    sites
        The cases of each site.
    advance
        Called after each case.
    """
    found: dict[int, Outcome] = {}
    outcomes = call_for_each(function, [case for cases in sites for case in cases], workers)
    with closing(outcomes):  # ends the processes, also after an error
        for index, outcome in outcomes:
            found[index] = outcome
            advance()
    ordered = iter(sorted(found.items()))
    return [[next(ordered)[1] for _ in cases] for cases in sites]
