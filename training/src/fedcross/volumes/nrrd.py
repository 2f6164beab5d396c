"""Write a layered NRRD file slice by slice: ITK would want the whole image in memory, twice.

The format: https://teem.sourceforge.net/nrrd/format.html.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.runtime.atomic import atomic_file
from fedcross.volumes.grid import Grid

_COMPRESSION = 4  # of 9: more takes longer and saves next to nothing on label maps


def write_layered(
    slices: Iterable[NDArray[np.uint8]],
    layers: int,
    grid: Grid,
    fields: Mapping[str, str],
    path: Path,
) -> None:
    """Write label maps that lie over one another, the layer being the fastest axis.

    Parameters
    ----------
    slices
        uint8 (L, y, x): slice after slice, all layers of each.
    layers
        L.
    grid
        Of every layer.
    fields
        What else the header says: key to value.
    path
        Ends in ``.nrrd``. The file appears whole or not at all, the same bytes every time.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with atomic_file(path) as raw:
        raw.write(_header(layers, grid, fields).encode())
        # No name and no time: equal contents are equal bytes.
        with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed:
            for layered in slices:
                packed.write(np.ascontiguousarray(np.moveaxis(layered, 0, -1)).data)


def _header(layers: int, grid: Grid, fields: Mapping[str, str]) -> str:
    columns = (grid.axes * np.array(grid.spacing_mm)).T  # one row for each axis x, y, z
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {layers} {' '.join(map(str, grid.size))}",
        f"space directions: none {' '.join(map(_vector, columns))}",
        "kinds: vector domain domain domain",
        "encoding: gzip",
        f"space origin: {_vector(grid.origin_mm)}",
    ]
    lines += [f"{key}:={_escaped(value)}" for key, value in sorted(fields.items())]
    return "\n".join([*lines, "", ""])


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
