"""Segment one volume with a bundle: files in, files out.

The one function that everything else (child process, command line, demo) calls.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.backends.factory import Backend, choose_backend
from fedcross.ensemble.run import STAGE, EnsembleOutcome, label_map_of_slabs, run_ensemble
from fedcross.errors import DeviceError, PrecisionError
from fedcross.infer.outlines import write_outlines
from fedcross.infer.output import (
    DISTANCE,
    OUTLINES,
    SEGMENTATION,
    SUMMARY,
    UNCERTAINTY,
    OutputFolder,
)
from fedcross.infer.summary import Summary, UncertaintyMap, summarise
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.stopwatch import Stopwatch
from fedcross.uncertainty.measures import MEASURES, Measure, upper_bound
from fedcross.volumes.distance import distance_map
from fedcross.volumes.prepare import Prepared, prepare, resample_map_to_source
from fedcross.volumes.read import read_volume
from fedcross.volumes.region import Region
from fedcross.volumes.segmentation import write_segmentation
from fedcross.volumes.write import write_volume


@dataclass(frozen=True)
class SegmentRequest:
    """What to segment, with what, and what to write.

    Attributes
    ----------
    bundle : Path
        A bundle's folder or ``.zip``.
    image : Path
        A volume's file or DICOM series folder.
    out : Path
        Folder for the results; made if need be, results of an earlier run in it are replaced.
    measure : str
        What the uncertainty map shows.
    device, precision, backend : str
        As `fedcross.backends.factory.choose_backend` takes them.
    roi : Path or None
        A box to which the segmentation is confined, see `fedcross.volumes.region.Region.read`.
    localise : bool
        Whether the members read only where the first one sees the structures at a first look, see
        `fedcross.ensemble.localiser.first_pass`; a box in `roi` says where already.
    save_probabilities, save_members : bool
        Also write each structure's mean probability, and each member's own segmentation.
    for_viewer : bool
        Also write what lets a viewer show everything without computing: the maps of all measures,
        the outlines (`fedcross.infer.outlines`) and the distances (`fedcross.volumes.distance`).
    """

    bundle: Path
    image: Path
    out: Path
    measure: Measure = "std"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    save_probabilities: bool = False
    save_members: bool = False
    roi: Path | None = None
    for_viewer: bool = False
    localise: bool = False

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All that are written, the chosen one first."""
        others = [name for name in MEASURES if name != self.measure] if self.for_viewer else []
        return (self.measure, *others)


Models = Callable[[SegmentRequest], AbstractContextManager[tuple[Backend, Bundle]]]
"""Brings what a request segments with: what runs the members, and the opened bundle."""


@contextmanager
def fresh_models(request: SegmentRequest) -> Iterator[tuple[Backend, Bundle]]:
    """Choose the back-end and open the bundle, for this one request."""
    backend = choose_backend(request.backend, request.device, request.precision)
    with open_bundle(request.bundle) as bundle:
        yield backend, bundle


@dataclass(frozen=True)
class _Result:
    """The ensemble's results on the input's own grid, (z, y, x) as stored.

    `inside` is the region of interest there, or None.
    """

    labels: NDArray[np.uint8]
    heat: NDArray[np.float32]
    inside: NDArray[np.bool_] | None


def segment(request: SegmentRequest, reporter: Reporter, models: Models = fresh_models) -> Summary:
    """Segment a volume and write the results, all or none.

    Parameters
    ----------
    request
        What to do.
    reporter
        Told about stages (``open``, ``read``, ``preprocess``, ``ensemble``, ``combine``, ``write``) and
        patches.
    models
        Where back-end and bundle come from; the warm worker keeps them from request to request.

    Returns
    -------
    Summary
        Also written as ``summary.json``.

    Raises
    ------
    FedCrossError
        Whatever the user can put right: the bundle, the volume, the device, the output folder. What
        can be checked is checked before anything is computed.
    """
    try:
        return _segment(request, reporter, models)
    except PrecisionError as error:
        if request.precision != "auto":
            raise
        reporter.log(f"{error.message} Once more with fp32.")
    except MemoryError as error:
        raise DeviceError(
            "This machine's memory does not suffice for the volume.",
            "Close other programs or crop the volume.",
        ) from error
    # Out here, where what the exception held is let go of.
    return segment(replace(request, precision="fp32"), reporter, models)


def _segment(request: SegmentRequest, reporter: Reporter, models: Models) -> Summary:
    clock = Stopwatch(reporter)
    with ExitStack() as stack:
        with clock.stage("open", "Opening the bundle"):
            region = Region.read(request.roi) if request.roi else None
            backend, bundle = stack.enter_context(models(request))
            out = stack.enter_context(OutputFolder(request.out, request.image))
        with clock.stage("read", "Reading the volume"):
            image = read_volume(request.image)
        with clock.stage("preprocess", "Preparing the volume"):
            prepared = prepare(image, bundle.manifest.preprocessing)
            inside = region.mask(prepared.source) if region else None
        del image  # the networks need no more than the z-scores
        members = len(bundle.manifest.members)
        with (
            clock.stage(STAGE, f"Segmenting with {members} models on {backend.processor}"),
            out.spooling(),
        ):
            outcome = run_ensemble(
                bundle.manifest,
                lambda index: backend.load(bundle, index),
                prepared,
                out.spool,
                measures=request.measures,
                region=region,
                localise=request.localise,
                reporter=reporter,
            )
        prepared = prepared.without_array()
        with clock.stage("combine", "Comparing the models"):
            result = _Result(
                label_map_of_slabs(outcome.statistics.mean(), prepared, inside),
                _heat(outcome, request.measure, prepared, inside),
                inside,
            )
        with out.publishing() as folder:
            with clock.stage("write", "Writing the results"):
                maps = _write_maps(folder, request, bundle.manifest, prepared, outcome, result)
                files = _write(folder, request, bundle.manifest, prepared, outcome, result)
            summary = summarise(
                bundle,
                prepared.source,
                measure=request.measure,
                labels=result.labels,
                heat=result.heat,
                member_labels=outcome.member_labels,
                roi=region is not None,
                computed=outcome.computed,
                uncertainty_maps=maps,
                files=files,
                backend=backend.name,
                device=backend.processor,
                precision=backend.precision,
                timings_s=clock.seconds,
            )
            (folder / SUMMARY).write_text(
                summary.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
    return summary


def _heat(
    outcome: EnsembleOutcome,
    measure: Measure,
    prepared: Prepared,
    inside: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    """Return a map of uncertainty on the input's own grid."""
    return _confined(resample_map_to_source(outcome.statistics.measure(measure), prepared), inside)


def _confined(values: NDArray[np.float32], inside: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    if inside is not None:
        values[~inside] = 0
    return values


def _write_maps(
    folder: Path,
    request: SegmentRequest,
    manifest: Manifest,
    prepared: Prepared,
    outcome: EnsembleOutcome,
    result: _Result,
) -> dict[Measure, UncertaintyMap]:
    """Write the maps of uncertainty, one at a time in memory beside the chosen one."""
    classes, members = manifest.architecture.classes, len(manifest.members)
    written: dict[Measure, UncertaintyMap] = {}
    for measure in request.measures:
        chosen = measure == request.measure
        file = UNCERTAINTY if chosen else f"uncertainty_{measure}.nrrd"
        heat = result.heat if chosen else _heat(outcome, measure, prepared, result.inside)
        write_volume(prepared.source.image(heat), folder / file)
        written[measure] = UncertaintyMap(
            file=file,
            max=float(heat.max()),
            window_max=upper_bound(measure, classes, members),
        )
    return written


def _write(
    folder: Path,
    request: SegmentRequest,
    manifest: Manifest,
    prepared: Prepared,
    outcome: EnsembleOutcome,
    result: _Result,
) -> dict[str, str]:
    """Write all but maps of uncertainty and summary; return what each file is and its name."""
    grid, structures = prepared.source, manifest.structures
    files = {"segmentation": SEGMENTATION, "uncertainty": UNCERTAINTY}
    write_segmentation(grid.image(result.labels), structures, folder / SEGMENTATION)
    if request.for_viewer:
        files |= {"outlines": OUTLINES, "distance": DISTANCE}
        write_outlines(outcome.member_labels, structures, grid, folder / OUTLINES)
        distances = distance_map(result.labels, grid.spacing_mm)
        write_volume(grid.image(distances), folder / DISTANCE)
    if request.save_probabilities:
        for structure in structures:
            kind = f"probability_{structure.slug}"
            files[kind] = f"{kind}.nrrd"
            one = slice(structure.label, structure.label + 1)
            probability = resample_map_to_source(outcome.statistics.mean(one), prepared)
            probability = _confined(probability, result.inside)
            write_volume(grid.image(probability), folder / files[kind])
    if request.save_members:
        for index, labels in enumerate(outcome.member_labels):
            files[f"member_{index}"] = f"member_{index}.seg.nrrd"
            image = grid.image(np.asarray(labels))
            write_segmentation(image, structures, folder / files[f"member_{index}"])
    return files
