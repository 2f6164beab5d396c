"""Read NIfTI-1 and NIfTI-2 (one file or a pair, also compressed by gzip) and Analyze 7.5 pairs."""

import math
from pathlib import Path

import numpy as np

from fedcross.errors import DataError
from fedcross.volumes.files.nifti_geometry import Position, locate
from fedcross.volumes.files.nifti_header import NiftiHeader, parse_header
from fedcross.volumes.files.opening import display_name
from fedcross.volumes.files.stored import NO_ORIENTATION, StoredVolume, VoxelFile, split_axes
from fedcross.volumes.grid import Grid

_EXTENSION_FLAG = 4  # bytes after the header that announce extensions


def read_nifti(path: Path, start: bytes, *, gzipped: bool) -> StoredVolume:
    """Read a header.

    Parameters
    ----------
    path
        File of the header.
    start
        Its first bytes, decompressed.
    gzipped
        Whether the file is compressed by gzip.

    Raises
    ------
    DataError
        If the header cannot be used, or the second file of a pair is missing.
    """
    name = display_name(path)
    header = parse_header(start, name)
    size, volumes, faster = split_axes(name, header.sizes, tuple(range(min(3, len(header.sizes)))))
    if header.kind == "analyze":
        position = _locate_analyze(header, size, name)
    else:
        position = locate(header, size, name)
    return StoredVolume(
        name=name,
        dtype=header.dtype,
        grid=position.grid,
        file=_voxel_file(path, header, name, gzipped=gzipped),
        volumes=volumes,
        faster=faster,
        is_vector=any(side > 1 for side in header.sizes[4:]),
        scale=None if header.kind == "analyze" else _scale(header.scale, name),
        remarks=position.remarks,
    )


def _locate_analyze(header: NiftiHeader, size: tuple[int, int, int], name: str) -> Position:
    """Analyze has spacings only; ITK's reader takes the axes as they are stored."""
    if header.scale[0] not in (0, 1):
        raise DataError(
            f"{name} is an Analyze file with the scale factor {header.scale[0]:.4g} of SPM, which is "
            "not supported.",
            "Convert it to NIfTI.",
        )
    x, y, z = (float(side) for side in header.pixdim[1:4])
    grid = Grid(size, (x, y, z), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel().tolist()))
    return Position(grid, (NO_ORIENTATION,))


def _scale(scale: tuple[float, float], name: str) -> tuple[float, float] | None:
    """Return slope and intercept; None if the slope is 0 (the standard) or NaN (nibabel)."""
    slope, intercept = scale
    if slope == 0 or math.isnan(slope) or scale == (1, 0):
        return None
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise DataError(
            f"{name} scales its voxels by {slope:.4g} and adds {intercept:.4g}, which are not finite "
            "numbers.",
            "Correct its header, or export it again.",
        )
    return slope, intercept


def _voxel_file(path: Path, header: NiftiHeader, name: str, *, gzipped: bool) -> VoxelFile:
    is_single = header.kind == "single"
    least = header.length if is_single else 0
    offset = header.offset or (least + _EXTENSION_FLAG if is_single else 0)
    if not (math.isfinite(offset) and least <= offset < 2**62 and offset == int(offset)):
        raise DataError(
            f"{name} declares that its voxels begin at byte {header.offset:.4g}.",
            "Copy or export it again.",
        )
    if is_single:
        return _file(path, "", int(offset), gzipped=gzipped)
    voxels = _other_file(path, name)
    compressed = voxels.name.lower().endswith(".gz")
    return _file(voxels, f", the file of the voxels of {name},", int(offset), gzipped=compressed)


def _file(path: Path, purpose: str, offset: int, *, gzipped: bool) -> VoxelFile:
    if gzipped:
        return VoxelFile(path, purpose, encoding="gzip", skip=offset)
    return VoxelFile(path, purpose, start=offset)


def _other_file(path: Path, name: str) -> Path:
    """Return the ``.img`` that belongs to a ``.hdr``."""
    lower = path.name.lower()
    ending = next((end for end in (".hdr", ".hdr.gz") if lower.endswith(end)), None)
    if ending is None:
        raise DataError(
            f"{name} has the header of a pair of files (.hdr and .img), but another name.",
            "Give the file .hdr, with the .img beside it.",
        )
    stem = path.name[: -len(ending)]
    image = ".IMG" if path.name.removesuffix(".gz").endswith(".HDR") else ".img"
    plain = path.with_name(f"{stem}{image}")
    compressed = path.with_name(f"{stem}{image}.gz")
    return compressed if compressed.exists() and not plain.exists() else plain


def header_of_pair(path: Path) -> Path | None:
    """Return the ``.hdr`` beside an ``.img``; None if there is none."""
    lower = path.name.lower()
    ending = next((end for end in (".img", ".img.gz") if lower.endswith(end)), None)
    if ending is None:
        return None
    stem = path.name[: -len(ending)]
    found = (path.with_name(f"{stem}{end}") for end in (".hdr", ".hdr.gz", ".HDR"))
    return next((header for header in found if header.exists()), None)
