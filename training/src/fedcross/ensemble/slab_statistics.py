"""Statistics over an ensemble's members, updated slab by slab.

The statistics are voxelwise, so each slab has its own. Those of a small volume are in memory. Those of a
large one are in a file, and only one slab is in memory at a time; the results are the same bits.
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
"""64 MiB, 5 million voxels with two classes and ``std``; larger statistics are kept in a file."""


@dataclass(frozen=True)
class _Kept:
    """A slab: its slices, its offset in the file in bytes, and the number of members so far."""

    part: slice
    offset: int
    count: int


class SlabStatistics:
    """`fedcross.uncertainty.statistics.EnsembleStatistics` of a volume, slab by slab.

    Parameters
    ----------
    shape
        Shape of one member's probabilities, (C, D, H, W).
    measures
        Measures that `measure` can return.
    file
        Empty file, open for reading and writing, for these statistics alone. None keeps everything in
        memory.
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
        """Return the size in bytes of the statistics of probabilities of a shape (C, D, H, W)."""
        one = EnsembleStatistics((shape[0], 1), measures).nbytes
        return one * int(np.prod(shape[1:], dtype=np.float64))

    def update(self, part: slice, probabilities: NDArray[np.float32]) -> None:
        """Add the probabilities of the next member in some slices.

        Parameters
        ----------
        part
            Slices z; the slabs of all members must have the same ones.
        probabilities
            float32 (C, dz, H, W).

        Raises
        ------
        ValueError
            If the slices are not those of earlier members, or the probabilities are refused by
            `EnsembleStatistics.update`.
        OSError
            If the file cannot be written: the disk is full.
        """
        kept = self._kept.get(part.start)
        if kept is None:
            kept = _Kept(part, self._end, 0)
        elif kept.part != part:
            raise ValueError(
                f"The slab must have the slices {part.start} to {kept.part.stop}, got {part.stop}."
            )
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
        """Yield the mean probabilities of some classes, (C, dz, H, W), in the order of the slices."""
        for part, statistics in self._slabs():
            yield part, statistics.mean[classes]

    def measure(self, name: Measure) -> Iterator[Slab]:
        """Yield a measure as one map, (1, dz, H, W), in the order of the slices."""
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
