"""Runs the members of a bundle, one after another, over some patches of a volume."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.measures import Measure
from fedcross.ensemble import slab_statistics
from fedcross.ensemble.label_map import label_map_of_slabs
from fedcross.ensemble.localiser.cells import Cells
from fedcross.ensemble.localiser.first_pass import clear_outside
from fedcross.ensemble.member_labels import MemberLabels
from fedcross.ensemble.slab_statistics import SlabStatistics
from fedcross.model.manifest import Manifest
from fedcross.patches.placement import Start, plan_patches
from fedcross.patches.predictor import PatchPredictor
from fedcross.patches.sliding_window import Progress, stream_patches
from fedcross.runtime.reporting import Reporter
from fedcross.volumes.prepare import Prepared
from fedcross.volumes.slab import Slab

STAGE = "ensemble"

Observer = Callable[[int, Slab, Prepared], None]
"""Receives the index of a member and its probabilities in some slices of the networks' grid, float32
(C, dz, H, W); it must not change them and not keep the array."""


@dataclass(frozen=True)
class EnsembleOutcome:
    """What an ensemble computed for a volume. It can be read as long as its temporary files are open.

    Attributes
    ----------
    statistics : SlabStatistics
        Mean and spread of the members' probabilities, on the networks' grid.
    member_labels : sequence of MemberLabels
        Each member's label map on the input's own grid, in a file.
    computed : float
        Share of the volume's patches that every member computed, 0 to 1.
    """

    statistics: SlabStatistics
    member_labels: Sequence[MemberLabels]
    computed: float


class MembersRun:
    """Runs all members of a bundle over some patches of one volume.

    Parameters
    ----------
    manifest, load_member, prepared, open_spool, measures, reporter, observe
        See `fedcross.ensemble.run.run_ensemble`.

    Attributes
    ----------
    patch : tuple of int
        Shape of a patch, (d, h, w).
    grid : list
        Starts of the patches that cover the volume, (z, y, x).
    shape : tuple of int
        Shape of a member's probabilities, (C, D, H, W).
    members : int
        K.
    first : PatchPredictor or None
        Member 0 if it is loaded already; it is released after its use.
    done : int
        Patches computed so far.
    """

    def __init__(
        self,
        manifest: Manifest,
        load_member: Callable[[int], PatchPredictor],
        prepared: Prepared,
        open_spool: Callable[[], IO[bytes]],
        measures: Collection[Measure],
        reporter: Reporter,
        observe: Observer | None = None,
    ) -> None:
        self._load, self._prepared = load_member, prepared
        self._open_spool, self._measures, self._reporter = open_spool, measures, reporter
        self._observe = observe
        self.patch = manifest.preprocessing.patch_size[::-1]
        self.grid = plan_patches(prepared.grid.shape, self.patch, manifest.preprocessing.overlap)
        self.members = len(manifest.members)
        self.shape = (manifest.architecture.classes, *prepared.grid.shape)
        self.first: PatchPredictor | None = None
        self.done = 0

    def run(
        self,
        starts: Sequence[Start],
        *,
        inside: NDArray[np.bool_] | None = None,
        surroundings: Cells | None = None,
    ) -> EnsembleOutcome:
        """Run all members on some patches of the grid.

        Parameters
        ----------
        starts
            Where the patches start.
        inside
            bool (z, y, x) on the input's own grid: elsewhere the label maps are background.
        surroundings
            Cells near the structures that the first member finds: elsewhere all is background.

        Raises
        ------
        StructureMissedError
            If a member finds a structure where the surroundings end.
        """
        gathered = SlabStatistics.nbytes(self.shape, self._measures)
        in_memory = gathered <= slab_statistics.MAX_BYTES_IN_MEMORY
        progress = self.progress(self.done + self.members * len(starts))
        with ExitStack() as spools:
            file = None if in_memory else spools.enter_context(self._open_spool())
            statistics = SlabStatistics(self.shape, self._measures, file)
            spool = spools.enter_context(self._open_spool())
            for index in range(self.members):
                slabs = self._probabilities(index, starts, progress)
                if surroundings is not None:
                    slabs = clear_outside(slabs, surroundings)
                if self._observe is not None:
                    slabs = self._shown(index, slabs, self._observe)
                slabs = _update(statistics, slabs)
                labels = label_map_of_slabs(slabs, self._prepared, inside)
                # Written, not mapped into memory: a full disk is then an error and not a crash.
                spool.write(labels.data)
            spool.flush()
            spools.pop_all()  # the outcome needs them; after an error they are closed here
        shape = self._prepared.source.shape
        return EnsembleOutcome(
            statistics,
            [MemberLabels(spool, index, shape) for index in range(self.members)],
            len(starts) / len(self.grid),
        )

    def _probabilities(
        self, index: int, starts: Sequence[Start], progress: Progress
    ) -> Iterator[Slab]:
        """Yield a member's probabilities; a generator, so that no reference to the member remains."""
        first, self.first = self.first, None
        yield from stream_patches(
            self._load(index) if first is None else first,
            self._prepared.array,
            patch=self.patch,
            starts=starts,
            classes=self.shape[0],
            progress=progress,
        )

    def _shown(self, index: int, slabs: Iterable[Slab], observe: Observer) -> Iterator[Slab]:
        """Show the slabs of a member to an observer and yield them unchanged."""
        for slab in slabs:
            observe(index, slab, self._prepared)
            yield slab

    def progress(self, total: int) -> Progress:
        """Return a callback that counts one more patch of `total` and reports it."""

        def report(done: int, of_member: int) -> None:
            self.done += 1
            self._reporter.progress(self.done, total, STAGE)

        return report


def _update(statistics: SlabStatistics, slabs: Iterable[Slab]) -> Iterator[Slab]:
    """Add slabs to the statistics and yield them unchanged."""
    for part, probabilities in slabs:
        statistics.update(part, probabilities)
        yield part, probabilities
