"""Segments one case with a bundle: from files to files, or from memory to memory.

The child process, the command line and Python all use `run_job`.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import SimpleITK as sitk

from fedcross.contract.files import SUMMARY
from fedcross.contract.measures import Measure
from fedcross.contract.request import ONLY_SERIES, RequestOptions, SegmentRequest
from fedcross.ensemble.members import Observer
from fedcross.errors import ConfigError, DeviceError, PrecisionError
from fedcross.infer.compute import Result, compute
from fedcross.infer.models import Models, fresh_models
from fedcross.infer.results.dicom.request import FindSource, check_source, source_finder
from fedcross.infer.results.output_folder import OutputFolder, output_folder
from fedcross.infer.results.summarise import summarise
from fedcross.infer.results.summary import Summary
from fedcross.infer.results.write import describe_maps, write_result
from fedcross.infer.scratch import scratch
from fedcross.model.architecture import require_network
from fedcross.model.bundle import Bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import EachWarningOnce, Reporter
from fedcross.runtime.stopwatch import Stopwatch
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.region import Region

if TYPE_CHECKING:
    from fedcross.volumes.files.dicom.source import DicomSource

_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True)
class Job:
    """One case to segment.

    Attributes
    ----------
    read : tuple of callable
        For each channel a function that returns its image as `fedcross.volumes.files.read.read_volume`
        does.
    bundle : Path
        Folder or ``.zip``.
    options : RequestOptions
        How to segment and what to write.
    out : Path or None
        Folder for the files; None writes none.
    sources : tuple of Path
        The images' files, which the results must not replace; empty if they are in memory.
    region : Region, Path or None
        Box to segment, or its file, see `fedcross.volumes.region.Region.read`; None is the whole volume.
    measures : tuple of str
        Measures that the result can return, beside those of `options`.
    observe : callable, optional
        Receives every member's probabilities; all of them again if the precision does not suffice.
    properties : bool
        Whether the result has the properties of the case, also for a bundle without a profile.
    find_dicom : callable, optional
        Finds the slices of the first image, for results in DICOM; None writes no DICOM.
    """

    read: tuple[Callable[[], sitk.Image], ...]
    bundle: Path
    options: RequestOptions
    out: Path | None = None
    sources: tuple[Path, ...] = ()
    region: Region | Path | None = None
    measures: tuple[Measure, ...] = ()
    observe: Observer | None = None
    properties: bool = False
    find_dicom: FindSource | None = None


def segment(request: SegmentRequest, reporter: Reporter, models: Models = fresh_models) -> Summary:
    """Segment the files of a case and write the results, all or none.

    Parameters
    ----------
    request
        What to segment, how, and where to write.
    reporter
        Receives the stages ``open``, ``read``, ``preprocess``, ``ensemble``, ``combine`` and
        ``write``, and the progress patch by patch.
    models
        Opens the bundle and the back-end; the warm worker keeps them from request to request.

    Returns
    -------
    Summary
        Also written, as ``summary.json``.

    Raises
    ------
    FedCrossError
        If the bundle, the volume, the device or the output folder cannot be used. What can be checked
        before the computation is checked before it.
    """
    chosen = (None if each == ONLY_SERIES else each for each in request.series)
    pairs = zip_longest(request.images, chosen)
    job = Job(
        tuple(partial(read_volume, image, series) for image, series in pairs),
        request.bundle,
        request,
        out=request.out,
        sources=request.images,
        region=request.roi,
        find_dicom=source_finder(
            request, request.image, next(iter(request.series), None), request.out
        ),
    )
    return run_job(job, reporter, models, lambda _, summary: summary)


def run_job(
    job: Job, reporter: Reporter, models: Models, finish: Callable[[Result, Summary], _Outcome]
) -> _Outcome:
    """Segment a case, write the files that are requested, and return what `finish` returns.

    With precision ``auto``, a bundle whose numbers are too large for it is computed again in fp32.

    Parameters
    ----------
    job
        The images, the bundle and the options.
    reporter, models
        See `segment`.
    finish
        Makes the outcome of the result, which cannot be read afterwards, and the summary.
    """
    reporter = EachWarningOnce(reporter)  # the second computation reads the same images
    try:
        return _run(job, reporter, models, finish)
    except PrecisionError as error:
        if job.options.precision != "auto":
            raise
        reporter.log(f"{error.message} Computing again with fp32.")
    except MemoryError as error:
        raise DeviceError(
            "This machine's memory does not suffice for the volume.",
            "Close other programs or crop the volume.",
        ) from error
    # Not in the except clause: the exception's frames hold arrays.
    exact = replace(job, options=replace(job.options, precision="fp32"))
    return run_job(exact, reporter, models, finish)


def _run(
    job: Job, reporter: Reporter, models: Models, finish: Callable[[Result, Summary], _Outcome]
) -> _Outcome:
    clock = Stopwatch(reporter)
    with ExitStack() as stack:
        with clock.stage("open", "Opening the bundle"):
            region = Region.read(job.region) if isinstance(job.region, Path) else job.region
            backend, bundle = stack.enter_context(models(job.bundle, job.options))
            require_network(bundle.manifest.architecture)  # also for compiled members
            _check_number(len(job.read), bundle.manifest)
            dicom = _dicom_source(job, bundle)
            sources = job.sources if dicom is None else (*job.sources, *dicom.files)
            folder = None if job.out is None else output_folder(job.out, sources)
            out = None if folder is None else stack.enter_context(folder)
            files = stack.enter_context(scratch(job.out or Path(tempfile.gettempdir())))
        result = compute(
            job.read,
            bundle,
            backend,
            job.options,
            measures=job.measures,
            region=region,
            properties=job.properties,
            scratch=files,
            clock=clock,
            reporter=reporter,
            observe=job.observe,
        )
        if out is None:
            summary = summarise(result, describe_maps(result), {}, clock.seconds)
        else:
            summary = _publish(result, out, dicom, clock)
        for sentence in summary.warnings:  # those about the images were reported before
            reporter.warning(sentence)
        return finish(result, summary)


def _dicom_source(job: Job, bundle: Bundle) -> "DicomSource | None":
    """Return the slices of the first image, checked; None if no DICOM is requested."""
    if job.find_dicom is None:
        return None
    source = job.find_dicom()
    check_source(source, bundle, job.options)
    return source


def _check_number(images: int, manifest: Manifest) -> None:
    """Check that there is one image for each channel of the bundle.

    Raises
    ------
    ConfigError
        If the number differs; the message names the channels.
    """
    steps = manifest.preprocessing
    if images == steps.channel_count:
        return
    if steps.channel_count == 1:
        raise ConfigError(f"The bundle {manifest.name} takes one image, got {images}.", "Give one.")
    raise ConfigError(
        f"The bundle {manifest.name} needs {steps.channel_count} images "
        f"({', '.join(steps.channel_names)}), got {images}.",
        "Give one image for each channel, in this order.",
    )


def _publish(
    result: Result, out: OutputFolder, dicom: "DicomSource | None", clock: Stopwatch
) -> Summary:
    """Write a result's files and its summary, all or none."""
    with out.publish() as folder:
        with clock.stage("write", "Writing the results"):
            written = write_result(result, folder, dicom)
        summary = summarise(result, written.maps, written.files, clock.seconds)
        text = summary.model_dump_json(indent=2) + "\n"
        (folder / SUMMARY).write_text(text, encoding="utf-8")
    return summary
