"""Write a layered NRRD file slice by slice; ITK's writer would need the whole image in memory twice.

Format: https://teem.sourceforge.net/nrrd/format.html.
"""

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcross.runtime.files.atomic import atomic_file
from fedcross.volumes.grid import Grid

_COMPRESSION = 4  # gzip level; higher levels are slower and hardly reduce the size of label maps


def write_layered(
    slices: Iterable[NDArray[np.uint8]],
    layers: int,
    grid: Grid,
    fields: Mapping[str, str],
    path: Path,
) -> None:
    """Write several label maps (layers) on one grid; the layer is the fastest axis of the file.

    The file is written under a temporary name and renamed, so a partial file never has the final name.
    The same input always gives the same bytes.

    Parameters
    ----------
    slices
        All slices z in order, each uint8 (L, y, x) with all layers.
    layers
        L, number of layers.
    grid
        Grid of every layer.
    fields
        Further header fields, key to value.
    path
        File to write; ends in ``.nrrd``.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_file(path) as raw:
        raw.write(_header(layers, grid, fields).encode())
        # Without name and time, so that equal contents give equal bytes.
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
        f"space directions: none {' '.join(map(_format_vector, columns))}",
        "kinds: vector domain domain domain",
        "encoding: gzip",
        f"space origin: {_format_vector(grid.origin_mm)}",
    ]
    lines += [f"{key}:={_escape(value)}" for key, value in sorted(fields.items())]
    return "\n".join([*lines, "", ""])


def _format_vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
