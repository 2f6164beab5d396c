"""Label maps of an ensemble's members in a file, read slice by slice.

Memory does not grow with the number of members.
"""

from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class MemberLabels:
    """One member's label map, (z, y, x), in a file.

    An index z reads that slice, uint8 (y, x), into memory; ``np.asarray`` reads all slices.

    Parameters
    ----------
    file
        File with the label maps of all members, uint8 in C order, one after another.
    index
        Index of the member, from 0.
    shape
        Shape of a label map, (z, y, x).
    """

    def __init__(self, file: IO[bytes], index: int, shape: Sequence[int]) -> None:
        self._file = file
        self.shape = tuple(shape)
        self._offset = index * int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int) -> NDArray[np.uint8]:
        plane: NDArray[np.uint8] = self._read(range(len(self))[z], 1)[0]
        return plane

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A label map in a file cannot be read without a copy.")
        return self._read(0, len(self)).astype(dtype or np.uint8, copy=False)

    def _read(self, first: int, count: int) -> NDArray[np.uint8]:
        height, width = self.shape[1:]
        self._file.seek(self._offset + first * height * width)
        found = self._file.read(count * height * width)
        return np.frombuffer(found, np.uint8).reshape(count, height, width)
