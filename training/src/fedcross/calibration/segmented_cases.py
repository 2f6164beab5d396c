"""Segment labelled cases with a bundle, exactly as ``fedcross segment`` does."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedcross.calibration.labelled_cases import LabelledCase
from fedcross.contract.measures import MEASURES, Measure
from fedcross.contract.request import RequestOptions
from fedcross.ensemble.members import Observer
from fedcross.errors import DataError
from fedcross.infer.compute import Result
from fedcross.infer.models import Models, fresh_models
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import Job, run_job
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.data.reading import read_case, read_channel, with_case_name
from fedcross.volumes.structure import Structure

_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True)
class SegmentedCase:
    """A labelled case and its segmentation, arrays (z, y, x) on the grid of the first image.

    Attributes
    ----------
    case
        The case.
    truth
        The drawn label map with the labels of the bundle, uint8.
    result
        What the ensemble computed; it can be read as long as its temporary files are open.
    summary
        The same in numbers.
    """

    case: LabelledCase
    truth: NDArray[np.uint8]
    result: Result
    summary: Summary

    @property
    def structures(self) -> list[Structure]:
        """The structures of the bundle that were drawn in this case."""
        return self.case.drawn(self.result.structures)


def segment_case(
    case: LabelledCase,
    bundle: Bundle,
    finish: Callable[[SegmentedCase], _Outcome],
    *,
    options: RequestOptions | None = None,
    measures: Collection[Measure] = MEASURES,
    observe: Callable[[NDArray[np.uint8]], Observer] | None = None,
    properties: bool = False,
    models: Models = fresh_models,
    reporter: Reporter | None = None,
) -> _Outcome:
    """Segment a case and return what `finish` makes of it.

    Parameters
    ----------
    case
        The case; its files are read here.
    bundle
        The opened bundle.
    finish
        Receives the segmented case while its temporary files are open.
    options
        Device, precision and back-end; None is the default of ``fedcross segment``.
    measures
        Measures that the result can return.
    observe
        Makes, of the drawn label map (z, y, x), what receives every member's probabilities.
    properties
        Whether to measure the properties of the case for a profile of familiar cases.
    models
        Opens bundle and back-end. A `fedcross.infer.warm.WarmModels` keeps them from case to case.
    reporter
        Receives stages and progress; None reports nothing.

    Raises
    ------
    DataError
        If a file of the case cannot be used; the message names the case.
    BundleError, DeviceError
        If the bundle or the device cannot be used.
    """
    image, truth = read_case(case.files, case.label_map, case.site)
    job = Job(
        read=(
            lambda: image,
            *(partial(read_channel, each.path, each.channel) for each in case.files.further),
        ),
        bundle=bundle.path,
        options=options or RequestOptions(),
        measures=tuple(measures),
        observe=None if observe is None else observe(truth),
        properties=properties,
    )

    def complete(result: Result, summary: Summary) -> _Outcome:
        return finish(SegmentedCase(case, truth, result, summary))

    try:
        return run_job(job, reporter or NullReporter(), models, complete)
    except DataError as error:
        raise with_case_name(error, case.files, case.site) from error
