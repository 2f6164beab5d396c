"""Segments the images of a case; the result lies on the first image's grid. No file is written."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from fedcross.backends.factory import Backend
from fedcross.contract.measures import Measure
from fedcross.contract.request import RequestOptions
from fedcross.ensemble.label_map import label_map_of_slabs
from fedcross.ensemble.member_labels import MemberLabels
from fedcross.ensemble.members import STAGE, EnsembleOutcome, Observer
from fedcross.ensemble.run import run_ensemble
from fedcross.infer.cost import TimeLimit, check_cost, compute_cost
from fedcross.infer.familiarity.image import Properties
from fedcross.infer.familiarity.measure import ImagesMeasured
from fedcross.infer.fit import fit_warnings
from fedcross.infer.scratch import Scratch, write_errors
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.stopwatch import Stopwatch
from fedcross.volumes.files.notes import notes_of
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared, prepare, resample_map_to_source
from fedcross.volumes.region import Region
from fedcross.volumes.structure import Structure


@dataclass(frozen=True)
class Result:
    """An ensemble's result for one case, on the first image's grid, arrays (z, y, x) as stored.

    It can be read as long as the temporary files of the computation are open.

    Attributes
    ----------
    bundle : Bundle
        The bundle that segmented.
    backend : Backend
        What ran its members.
    options : RequestOptions
        How it was requested.
    labels : NDArray
        uint8: the ensemble's label map, 0 is background.
    heat : NDArray
        float32: the map of ``options.measure``.
    doubt : NDArray
        float32: 1 minus the largest mean probability of a class, 0 outside the region.
    inside : NDArray or None
        bool: voxels in the region of interest; None if there is no region.
    outcome : EnsembleOutcome
        Statistics on the networks' grid, and the members' label maps.
    prepared : Prepared
        The grids, without the intensities.
    properties : dict or None
        Properties of the case by name, see `fedcross.infer.familiarity`; None if they were not asked
        for, or only a region was segmented.
    warnings : tuple of str
        What a person should know about the images, one sentence each.
    """

    bundle: Bundle
    backend: Backend
    options: RequestOptions
    labels: NDArray[np.uint8]
    heat: NDArray[np.float32]
    doubt: NDArray[np.float32]
    inside: NDArray[np.bool_] | None
    outcome: EnsembleOutcome
    prepared: Prepared
    properties: Properties | None = None
    warnings: tuple[str, ...] = ()

    @property
    def grid(self) -> Grid:
        """The grid of the first image."""
        return self.prepared.source

    @property
    def structures(self) -> tuple[Structure, ...]:
        """The structures that the labels mean."""
        return tuple(self.bundle.manifest.structures)

    @property
    def member_labels(self) -> Sequence[MemberLabels]:
        """Each member's label map, in a file."""
        return self.outcome.member_labels

    def uncertainty(self, measure: Measure) -> NDArray[np.float32]:
        """Return the map of a measure, float32, 0 outside the region; the requested one is `heat`."""
        if measure == self.options.measure:
            return self.heat
        return _uncertainty(self.outcome, measure, self.prepared, self.inside)

    def probability(self, structure: Structure) -> NDArray[np.float32]:
        """Return a structure's mean probability over the members, float32, 0 outside the region."""
        one = slice(structure.label, structure.label + 1)
        return _confine(
            resample_map_to_source(self.outcome.statistics.mean(one), self.prepared), self.inside
        )


def compute(
    read: Sequence[Callable[[], sitk.Image]],
    bundle: Bundle,
    backend: Backend,
    options: RequestOptions,
    *,
    measures: Collection[Measure],
    region: Region | None,
    properties: bool = False,
    scratch: Scratch,
    clock: Stopwatch,
    reporter: Reporter,
    observe: Observer | None = None,
) -> Result:
    """Read, prepare and segment the images of a case, and combine what the members found.

    Parameters
    ----------
    read
        Functions that return the image of each channel. Functions, so that the memory of the images is
        free once they are prepared.
    bundle, backend
        The bundle, and the back-end that runs its members.
    options
        How to segment; ``options.roi`` is not read.
    measures
        Measures that the result can return, beside those of `options`.
    region
        The box to segment; None is the whole volume.
    properties
        Whether to measure the properties of the case, see `Result`. They are measured without being
        asked for if the bundle has a profile.
    scratch
        Opens the temporary files; the result needs them.
    clock
        Reports and times the stages ``read``, ``preprocess``, ``ensemble`` and ``combine``.
    reporter
        Receives the progress, patch by patch.
    observe
        Receives every member's probabilities, see `run_ensemble`.

    Raises
    ------
    DataError
        If an image cannot be segmented, the images do not overlap, or no voxel is in the region.
    DeviceError, BundleError
        If memory, disk or the allowed time do not suffice, or a member cannot be loaded.
    OutputError
        If a temporary file cannot be written.
    """
    wanted = {*options.measures, *measures}
    warnings: list[str] = []

    def warn(sentence: str) -> None:
        warnings.append(sentence)
        reporter.warning(sentence)

    names = bundle.manifest.preprocessing.channel_names if len(read) > 1 else ("",)
    with clock.stage("read", "Reading the volume"):
        images = [each() for each in read]
        for name, image in zip(names, images, strict=True):
            for note in notes_of(image):
                warn(f"{name}: {note}" if name else note)
    with clock.stage("preprocess", "Preparing the volume"):
        size = images[0].GetSize()

        def check_grid(grid: Grid) -> None:
            cost = compute_cost(
                bundle.manifest, grid, size, wanted, writes_dicom=options.writes_dicom
            )
            check_cost(cost, options, scratch.folder)

        prepared = prepare(images[0], bundle.manifest.preprocessing, images[1:], check_grid)
        for sentence in fit_warnings(images, prepared.oriented, bundle.manifest.preprocessing):
            warn(sentence)
        inside = region.mask(prepared.source) if region else None
        measures_properties = region is None and (properties or bundle.manifest.profile is not None)
        measured = ImagesMeasured.of(prepared) if measures_properties else None
    del images  # the networks need only the normalised intensities
    members = len(bundle.manifest.members)
    with (
        clock.stage(STAGE, f"Segmenting with {members} members on {backend.processor}"),
        write_errors(scratch.folder),
    ):
        outcome = run_ensemble(
            bundle.manifest,
            lambda index: backend.load(bundle, index),
            prepared,
            scratch.open,
            measures=wanted,
            region=region,
            localise=options.localise,
            reporter=TimeLimit(reporter, options.max_hours),
            observe=observe,
        )
    prepared = prepared.without_array()
    with clock.stage("combine", "Comparing the members"):
        doubt = np.empty(prepared.source.shape, np.float32)
        labels = label_map_of_slabs(outcome.statistics.mean(), prepared, inside, doubt)
        heat = _uncertainty(outcome, options.measure, prepared, inside)
        found = None
        if measured is not None:
            found = measured.complete(outcome, prepared.grid, bundle.manifest)
    return Result(
        bundle,
        backend,
        options,
        labels,
        heat,
        doubt,
        inside,
        outcome,
        prepared,
        properties=found,
        warnings=tuple(warnings),
    )


def _uncertainty(
    outcome: EnsembleOutcome,
    measure: Measure,
    prepared: Prepared,
    inside: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    return _confine(resample_map_to_source(outcome.statistics.measure(measure), prepared), inside)


def _confine(values: NDArray[np.float32], inside: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Set the values outside the region to 0, in place."""
    if inside is not None:
        values[~inside] = 0
    return values
