"""Statistics over an ensemble's members whose probabilities come slab by slab.

They are voxelwise: every slab has statistics of its own. A small volume's stay in memory; a large one's
are in a file, and only the slab at work is in memory, with the same bits.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fedcross.uncertainty.measures import Measure
from fedcross.uncertainty.statistics import EnsembleStatistics
from fedcross.volumes.slab import Slab

MAX_BYTES_IN_MEMORY = 2**26
"""Of what is gathered: 64 MiB. Of two classes and the paper's map that is 5 million voxels."""


@dataclass(frozen=True)
class _Kept:
    """A slab: its slices, where it lies in the file, and how many members it has had."""

    part: slice
    offset: int
    count: int


class SlabStatistics:
    """`fedcross.uncertainty.statistics.EnsembleStatistics` of a volume, slab by slab.

    Parameters
    ----------
    shape
        Of one member's probabilities, (C, D, H, W).
    measures
        Which will be asked for.
    file
        Opened for reading and writing, and for nothing else; written from its beginning. None keeps
        everything in memory.
    """

    def __init__(
        self, shape: Sequence[int], measures: Collection[Measure], file: IO[bytes] | None = None
    ) -> None:
        self._shape = tuple(shape)
        self._measures = tuple(measures)
        self._file = file
        self._end = 0
        self._kept: dict[int, _Kept] = {}
        self._in_memory: dict[int, EnsembleStatistics] = {}

    @staticmethod
    def nbytes(shape: Sequence[int], measures: Collection[Measure]) -> int:
        """Return how much is gathered for probabilities of `shape`."""
        one = EnsembleStatistics((shape[0], 1), measures).nbytes
        return one * int(np.prod(shape[1:], dtype=np.float64))

    def update(self, part: slice, probabilities: NDArray[np.float32]) -> None:
        """Take in what the next member says about some slices.

        Parameters
        ----------
        part
            Which slices z; every member's must be cut in the same places.
        probabilities
            float32 (C, dz, H, W).

        Raises
        ------
        ValueError
            As `EnsembleStatistics.update`, or if the cuts are others.
        OSError
            If the disk is full.
        """
        kept = self._kept.get(part.start)
        if kept is None:
            kept = _Kept(part, self._end, 0)
        elif kept.part != part:
            raise ValueError(f"slices {part.start} to {kept.part.stop} expected, got {part.stop}")
        statistics = self._statistics(kept)
        statistics.update(probabilities)
        if self._file is None:
            self._in_memory[part.start] = statistics
        else:
            self._file.seek(kept.offset)
            statistics.save(self._file)
        self._end = max(self._end, kept.offset + statistics.nbytes)
        self._kept[part.start] = _Kept(part, kept.offset, statistics.count)

    def mean(self, classes: slice = slice(None)) -> Iterator[Slab]:
        """Yield the mean probabilities, of all classes or some, from the first slice to the last."""
        for part, statistics in self._slabs():
            yield part, statistics.mean[classes]

    def measure(self, name: Measure) -> Iterator[Slab]:
        """Yield a measure of spread as one map (1, dz, H, W), from the first slice to the last."""
        for part, statistics in self._slabs():
            yield part, statistics.measure(name)[None]

    def _slabs(self) -> Iterator[tuple[slice, EnsembleStatistics]]:
        for _, kept in sorted(self._kept.items()):
            yield kept.part, self._statistics(kept)

    def _statistics(self, kept: _Kept) -> EnsembleStatistics:
        if kept.part.start in self._in_memory:
            return self._in_memory[kept.part.start]
        shape = (self._shape[0], kept.part.stop - kept.part.start, *self._shape[2:])
        statistics = EnsembleStatistics(shape, self._measures)
        if self._file is not None and kept.count:
            self._file.seek(kept.offset)
            statistics.load(self._file, kept.count)
        return statistics
