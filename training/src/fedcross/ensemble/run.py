"""The members of a bundle over one volume: their mean, their spread, and what each says.

Member-outer: one member is alive at a time. Its patches are blended slab by slab; a slab goes into
streaming statistics, and onto the input's own grid, where the member's label map goes to disk. So
memory does not grow with the number K of members. With C classes, n voxels on the networks' grid, N of
the input, and s in as many slices as a patch is deep, it takes, beside a member at work on a patch,

    4 n + N + g + 4 (C + 1) s  bytes:

z-scores, a label map, what the statistics gather, and sums of patches; and some arrays of C times
`fedcross.volumes.slab.SLAB_VOXELS` numbers. For all measures g is (5 C + 8) n, on disk and not in
memory where that exceeds `fedcross.ensemble.slab_statistics.MAX_BYTES_IN_MEMORY`. Before, while the volume is
prepared, memory holds the file's voxels twice and the z-scores twice; after, when the z-scores are gone,
about 16 N at most (for the distances, `fedcross.volumes.distance`).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedcross.ensemble import slab_statistics as spread
from fedcross.ensemble.localiser.cells import Cells
from fedcross.ensemble.localiser.first_pass import (
    StructureMissedError,
    clear_outside,
    find_surroundings,
    plan_first_pass,
)
from fedcross.ensemble.localiser.selection import select_patches
from fedcross.ensemble.member_labels import MemberLabels
from fedcross.ensemble.slab_statistics import SlabStatistics
from fedcross.model.manifest import Manifest
from fedcross.patches.placement import Start, plan_patches, select_touching
from fedcross.patches.predictor import PatchPredictor
from fedcross.patches.sliding_window import Progress, blend_patches, stream_patches
from fedcross.runtime.reporting import Reporter
from fedcross.uncertainty.measures import Measure
from fedcross.volumes.grid import reorder_view
from fedcross.volumes.prepare import Prepared, resample_slabs
from fedcross.volumes.region import Region
from fedcross.volumes.slab import Slab

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fedcross.runtime.device import Precision

STAGE = "ensemble"


@dataclass(frozen=True)
class EnsembleOutcome:
    """What an ensemble said about a volume.

    Attributes
    ----------
    statistics : SlabStatistics
        Over the members' blended probabilities, on the networks' grid.
    member_labels : sequence of MemberLabels
        Each member's label map on the input's own grid, in a file.
    computed : float
        Share of the volume's patches that every member computed.
    """

    statistics: SlabStatistics
    member_labels: Sequence[MemberLabels]
    computed: float


def blend(
    network: "nn.Module",
    volume: "NDArray[np.float32] | torch.Tensor",
    *,
    patch_size: tuple[int, int, int],
    overlap: float,
    classes: int,
    device: "torch.device",
    precision: "Precision" = "fp32",
    temperature: float = 1.0,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Return one network's blended probabilities over a whole volume.

    Parameters
    ----------
    network
        Maps (N, 1, D, H, W) to logits (N, C, D, H, W); on `device`, in evaluation mode.
    volume
        z-scores, float32 (D, H, W).
    patch_size
        (x, y, z).
    overlap, classes, progress
        As in `fedcross.patches.sliding_window.blend_patches`.
    device, precision, temperature
        As in `fedcross.backends.torch_backend.TorchPredictor`.

    Returns
    -------
    NDArray
        float32 (C, D, H, W).
    """
    # Here and not above: other back-ends run the ensemble without PyTorch.
    from fedcross.backends.torch_backend import predictor_class

    return blend_patches(
        predictor_class(device)(
            network, device=device, precision=precision, temperature=temperature
        ),
        np.asarray(volume, dtype=np.float32),
        patch=patch_size[::-1],
        overlap=overlap,
        classes=classes,
        progress=progress,
    )


def run_ensemble(
    manifest: Manifest,
    load_member: Callable[[int], PatchPredictor],
    prepared: Prepared,
    open_spool: Callable[[], IO[bytes]],
    *,
    measures: Collection[Measure],
    region: Region | None = None,
    localise: bool = False,
    reporter: Reporter,
) -> EnsembleOutcome:
    """Run all members, one after another.

    Parameters
    ----------
    manifest
        Of the bundle.
    load_member
        Brings member k to life; it is let go before the next one comes.
    prepared
        The volume.
    open_spool
        Opens an empty file for reading and writing. One is to hold a byte per voxel and member; where
        the statistics are larger than `fedcross.ensemble.slab_statistics.MAX_BYTES_IN_MEMORY`, another one holds
        these. The outcome lives as long as the files.
    measures
        The measures of spread that will be asked for.
    region
        What is segmented; None is the whole volume. Patches that do not touch it are left out, and
        outside it the members' label maps are background.
    localise
        Whether the members read only where the first one sees the structures, see
        `fedcross.ensemble.localiser.first_pass`; not with a region, which says where already.
    reporter
        Told about every patch.

    Raises
    ------
    OSError
        If a file cannot be written: the disk is full.
    """
    run = _Run(manifest, load_member, prepared, open_spool, measures, reporter)
    if region is not None:
        # One voxel more on each side: interpolation to the input's own grid looks at neighbours.
        needed = select_touching(run.grid, run.patch, region.bounds(prepared.grid, margin=1))
        return run.members(needed, inside=region.mask(prepared.source))
    return run.localised() if localise else run.members(run.grid)


class _Run:
    """One volume's way through an ensemble; the parameters are those of `run_ensemble`."""

    def __init__(
        self,
        manifest: Manifest,
        load_member: Callable[[int], PatchPredictor],
        prepared: Prepared,
        open_spool: Callable[[], IO[bytes]],
        measures: Collection[Measure],
        reporter: Reporter,
    ) -> None:
        self._load, self._prepared = load_member, prepared
        self._open_spool, self._measures, self._reporter = open_spool, measures, reporter
        self.patch = manifest.preprocessing.patch_size[::-1]
        self.grid = plan_patches(prepared.array.shape, self.patch, manifest.preprocessing.overlap)
        self._members = len(manifest.members)
        self._shape = (manifest.architecture.classes, *prepared.array.shape)
        self._done = 0  # patches
        self._first: PatchPredictor | None = None  # from its look on, until it reads

    def localised(self) -> EnsembleOutcome:
        """Let the first member look the volume over, and run all where it sees the structures."""
        full, spacing_mm = len(self.grid), self._prepared.grid.spacing_mm
        looks = plan_first_pass(self._shape[1:], self.patch, spacing_mm, full, self._members)
        if not looks:
            return self._read_all("The volume has too few patches for a first look.")
        self._first = self._load(0)
        surroundings = find_surroundings(
            self._first,
            self._prepared.array,
            patch=self.patch,
            starts=looks,
            classes=self._shape[0],
            spacing_mm=spacing_mm,
            progress=self._progress(len(looks) + self._members * full),
        )
        if surroundings is None:
            return self._read_all("The first model misses a structure.")
        kept = select_patches(self.grid, self.patch, surroundings)
        if len(looks) + self._members * len(kept) >= self._members * full:
            return self._read_all("The structures reach too far to save anything.")
        try:
            return self.members(kept, surroundings=surroundings)
        except StructureMissedError as error:
            reason = str(error)
        # Out here, where what the exception held is let go of: statistics, and a member.
        return self._read_all(reason)

    def _read_all(self, reason: str) -> EnsembleOutcome:
        self._reporter.log(f"{reason} All read the whole volume.")
        return self.members(self.grid)

    def members(
        self,
        starts: Sequence[Start],
        *,
        inside: NDArray[np.bool_] | None = None,
        surroundings: Cells | None = None,
    ) -> EnsembleOutcome:
        """Run them on some patches of the grid.

        Parameters
        ----------
        starts
            Of the patches.
        inside
            On the input's own grid, (z, y, x): what else is background in the label maps.
        surroundings
            Of what the first member suspects: outside all is background.

        Raises
        ------
        StructureMissedError
            If the surroundings do not hold the structures.
        """
        small = SlabStatistics.nbytes(self._shape, self._measures) <= spread.MAX_BYTES_IN_MEMORY
        told = self._progress(self._done + self._members * len(starts))
        with ExitStack() as spools:
            file = None if small else spools.enter_context(self._open_spool())
            statistics = SlabStatistics(self._shape, self._measures, file)
            spool = spools.enter_context(self._open_spool())
            for index in range(self._members):
                slabs = self._said(index, starts, told)
                if surroundings is not None:
                    slabs = clear_outside(slabs, surroundings)
                labels = label_map_of_slabs(_taken_in(statistics, slabs), self._prepared, inside)
                # Written, not mapped: a full disk is then an error and not a crash.
                spool.write(labels.data)
            spool.flush()
            spools.pop_all()  # they live as long as the outcome; without one they are closed here
        own = self._prepared.source.shape
        return EnsembleOutcome(
            statistics,
            [MemberLabels(spool, index, own) for index in range(self._members)],
            len(starts) / len(self.grid),
        )

    def _said(self, index: int, starts: Sequence[Start], told: Progress) -> Iterator[Slab]:
        # A generator, so that nothing of a member outlives it.
        yield from stream_patches(
            self._member(index),
            self._prepared.array,
            patch=self.patch,
            starts=starts,
            classes=self._shape[0],
            progress=told,
        )

    def _member(self, index: int) -> PatchPredictor:
        first, self._first = self._first, None
        return self._load(index) if first is None else first

    def _progress(self, total: int) -> Progress:
        def told(done: int, of_all: int) -> None:
            self._done += 1
            self._reporter.progress(self._done, total, STAGE)

        return told


def _taken_in(statistics: SlabStatistics, slabs: Iterable[Slab]) -> Iterator[Slab]:
    """Pass slabs on once the statistics have had them."""
    for part, probabilities in slabs:
        statistics.update(part, probabilities)
        yield part, probabilities


def label_map(
    probabilities: NDArray[np.float32], prepared: Prepared, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Do what `label_map_of_slabs` does with probabilities (C, D, H, W) at hand."""
    return label_map_of_slabs([(slice(0, probabilities.shape[1]), probabilities)], prepared, inside)


def label_map_of_slabs(
    slabs: Iterable[Slab], prepared: Prepared, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return the most probable class of every voxel of the input's own grid.

    Parameters
    ----------
    slabs
        Probabilities on the networks' grid as `fedcross.volumes.prepare.resample_slabs` takes them;
        class 0 is the background. They are interpolated first and compared then, class by class.
    prepared
        The volume.
    inside
        (z, y, x) as stored: elsewhere is background; None is everywhere.

    Returns
    -------
    NDArray
        uint8 (z, y, x) as stored; of equal classes the lowest.
    """
    labels = np.zeros(prepared.source.shape, dtype=np.uint8)
    oriented = reorder_view(labels, prepared.source, prepared.oriented)
    for part, probabilities in resample_slabs(slabs, prepared):
        best, winner = probabilities[0], oriented[part]
        for label in range(1, len(probabilities)):
            winner[probabilities[label] > best] = label
            best = np.maximum(best, probabilities[label])
    if inside is not None:
        labels[~inside] = 0
    return labels
