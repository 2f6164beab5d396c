"""Checks whether several cases at the same time fit into the memory, before anything is computed."""

import heapq
from collections.abc import Collection, Sequence
from pathlib import Path

from fedcross.contract.measures import Measure
from fedcross.contract.request import RequestOptions
from fedcross.errors import DeviceError, FedCrossError
from fedcross.infer.batch.case import Case
from fedcross.infer.cost import GB, compute_cost
from fedcross.model.bundle import Bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.memory import available_bytes
from fedcross.volumes.files.dicom.choice import choose
from fedcross.volumes.files.dicom.folder import read_folder
from fedcross.volumes.files.dicom.grouping import find_candidates
from fedcross.volumes.files.dicom.stack import stack_grid
from fedcross.volumes.files.kinds import read_header
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import network_grid

PROCESS_BYTES = 140_000_000
"""Private memory of a process after a small case with a tiny bundle; measured: 147 MB with OpenVINO,
224 MB with PyTorch."""


def check_workers(
    cases: Sequence[Case],
    bundle: Bundle,
    options: RequestOptions,
    workers: int,
    *,
    measures: Collection[Measure] = (),
) -> None:
    """Refuse more workers than the memory allows.

    The figure is a lower bound: for every process `PROCESS_BYTES` and the weights, and what the largest
    cases need at least, see `fedcross.infer.cost`. Cases whose header cannot be read do not count.

    Parameters
    ----------
    cases
        All cases.
    bundle, options
        The bundle, and how to segment.
    workers
        Number of cases at the same time, at least 1. One is not checked here, because each case is
        checked when its turn comes.
    measures
        Measures that are computed, beside those of `options`.

    Raises
    ------
    DeviceError
        If the memory does not suffice; the hint has the number that would.
    """
    available = available_bytes()
    if workers == 1 or available is None:
        return
    weights = sum((bundle.path / member.file).stat().st_size for member in bundle.manifest.members)
    wanted = {*options.measures, *measures}
    needed = (_memory_bytes(case, bundle.manifest, options, wanted) for case in cases)
    largest = [PROCESS_BYTES + weights + each for each in heapq.nlargest(workers, needed)]
    if sum(largest) <= available:
        return
    fitting = max(1, sum(sum(largest[: count + 1]) <= available for count in range(len(largest))))
    raise DeviceError(
        f"{len(largest)} cases at the same time need at least {sum(largest) / GB:.1f} GB of memory, but "
        f"only {available / GB:.1f} GB are free.",
        f"Use --workers {fitting}, or close other programs.",
    )


def _memory_bytes(
    case: Case, manifest: Manifest, options: RequestOptions, measures: Collection[Measure]
) -> int:
    try:
        source = None if case.problem else _read_grid(case.images[0], case.series)
    except (FedCrossError, OSError):
        return 0  # its turn comes, and then it fails with this error
    if source is None:
        return 0
    grid = network_grid(source, manifest.preprocessing)
    cost = compute_cost(manifest, grid, source.size, measures, writes_dicom=options.writes_dicom)
    return cost.memory_bytes


def _read_grid(image: Path, series: str | None) -> Grid | None:
    """Read the grid of an image from its header or headers; None for one file of DICOM."""
    if not image.is_dir():
        stored = read_header(image)
        return None if stored is None else stored.grid
    frames = choose(find_candidates(read_folder(image).frames), series, image.name).frames
    found = stack_grid(frames, image.name)
    x, y, z = found.origin_mm
    return Grid(found.size, found.spacing_mm, (x, y, z), found.direction)
