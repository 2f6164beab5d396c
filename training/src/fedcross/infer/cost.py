"""The cost of a segmentation, computed before it begins: patches, memory, disk and time.

It follows from the spacing, the patch, the overlap, the classes and the members of the bundle. If it
exceeds what the machine has, the request is refused in one sentence. The figures are lower bounds, so
that nothing is refused that would have worked.
"""

import math
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcross.contract.measures import Measure
from fedcross.contract.request import RequestOptions, flag
from fedcross.ensemble import slab_statistics
from fedcross.ensemble.slab_statistics import SlabStatistics
from fedcross.errors import DeviceError
from fedcross.model.manifest import Manifest
from fedcross.patches.placement import count_patches
from fedcross.runtime.memory import available_bytes
from fedcross.runtime.reporting import Reporter
from fedcross.volumes.grid import Grid

MAX_PATCHES = 500_000
"""Largest number of patches of one member; their positions alone take 60 MB."""
FIRST_PATCHES = 3
"""Number of patches whose time predicts that of all; the first one also starts the back-end."""
LEAST_S = 20.0
"""Seconds of patches before a request is stopped because of its predicted time."""
MAX_DICOM_BYTES = 2**32 - 2
"""Largest value of an element in DICOM."""
GB = 1e9
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Cost:
    """What a segmentation needs at least.

    Attributes
    ----------
    patches
        Patches of one member.
    memory_bytes
        Intensities, statistics, and the features of one patch at the network's first level.
    disk_bytes
        Temporary files: the members' label maps, and the statistics if they are large.
    dicom_bytes
        Largest element of a DICOM file; 0 if none is written. Empty frames count, too.
    """

    patches: int
    memory_bytes: int
    disk_bytes: int
    dicom_bytes: int = 0


def compute_cost(
    manifest: Manifest,
    grid: Grid,
    size: Sequence[int],
    measures: Collection[Measure],
    *,
    writes_dicom: bool = False,
) -> Cost:
    """Compute what the segmentation of a volume needs at least.

    Parameters
    ----------
    manifest
        Manifest of the bundle.
    grid
        Grid of the networks.
    size
        Size of the first image, (x, y, z).
    measures
        Measures that are computed.
    writes_dicom
        Whether the result is written as DICOM, too.
    """
    steps, network = manifest.preprocessing, manifest.architecture
    classes, channels = network.classes, steps.channel_count
    width, height, depth = steps.patch_size
    statistics = SlabStatistics.nbytes((classes, *grid.shape), measures)
    is_on_disk = statistics > slab_statistics.MAX_BYTES_IN_MEMORY
    intensities = channels * grid.voxels
    features = (channels + classes + 2 * network.first_channels) * width * height * depth
    # Sums of patches and of their weights, in as many slices as a patch is deep.
    sums = (classes + 1) * depth * max(grid.size[0], width) * max(grid.size[1], height)
    voxels, structures = math.prod(size), len(manifest.structures)
    labels = len(manifest.members) * voxels
    computing = FLOAT_BYTES * (intensities + features + sums)
    # Label map, two maps, and the probabilities, of which highdicom makes a copy.
    writing = voxels * (1 + FLOAT_BYTES * (2 + 2 * structures)) if writes_dicom else 0
    return Cost(
        patches=count_patches(grid.shape, (depth, height, width), steps.overlap),
        memory_bytes=max(computing, writing) + (0 if is_on_disk else statistics),
        disk_bytes=labels + (statistics if is_on_disk else 0),
        dicom_bytes=voxels * max(FLOAT_BYTES, structures) if writes_dicom else 0,
    )


def check_cost(cost: Cost, options: RequestOptions, folder: Path) -> None:
    """Refuse a segmentation that needs more than there is, or than the user allows.

    Parameters
    ----------
    cost
        What it needs at least.
    options
        ``options.max_memory_gb`` replaces the memory that the machine has left.
    folder
        Existing folder of the temporary files.

    Raises
    ------
    DeviceError
        If patches, memory or disk exceed the limits, or a DICOM file would become too large.
    """
    if cost.patches > MAX_PATCHES:
        raise DeviceError(
            f"The bundle would cut this volume into {cost.patches:,} patches, more than the "
            f"{MAX_PATCHES:,} that are accepted.",
            "Crop the volume, or use a bundle with coarser voxels, larger patches or less overlap.",
        )
    if cost.dicom_bytes > MAX_DICOM_BYTES:
        raise DeviceError(
            f"A DICOM file of this result may need {cost.dicom_bytes / GB:.2f} GB, but DICOM allows "
            f"{MAX_DICOM_BYTES / GB:.2f} GB.",
            f"Crop the volume, or leave out {flag('dicom')}.",
        )
    given = options.max_memory_gb
    allowed = available_bytes() if given is None else given * GB
    if allowed is not None and cost.memory_bytes > allowed:
        have = "are free" if given is None else f"are allowed by {flag('max_memory_gb')}"
        raise DeviceError(
            f"The segmentation needs at least {cost.memory_bytes / GB:.1f} GB of memory, but only "
            f"{allowed / GB:.1f} GB {have}.",
            f"Crop the volume, close other programs, or raise {flag('max_memory_gb')}.",
        )
    free = shutil.disk_usage(folder).free
    if cost.disk_bytes > free:
        raise DeviceError(
            f"The segmentation needs {cost.disk_bytes / GB:.1f} GB for temporary files, but the disk "
            f"has only {free / GB:.1f} GB left.",
            "Free some space, or crop the volume.",
        )


class TimeLimit:
    """A reporter that stops a computation whose predicted time is too long; it passes on everything.

    The prediction is made after each patch: the time per patch so far, without the first
    `FIRST_PATCHES`, times the number of patches.

    Parameters
    ----------
    reporter
        Receives everything.
    max_hours
        Longest predicted time in hours; above 0.
    """

    def __init__(self, reporter: Reporter, max_hours: float) -> None:
        self._reporter, self._max_s = reporter, max_hours * 3600
        self._first_s: float | None = None

    def stage(self, name: str, message: str) -> None:
        """Pass it on."""
        self._reporter.stage(name, message)

    def log(self, message: str) -> None:
        """Pass it on."""
        self._reporter.log(message)

    def warning(self, message: str) -> None:
        """Pass it on."""
        self._reporter.warning(message)

    def progress(self, done: int, total: int, stage: str) -> None:
        """Pass it on, and check the predicted time.

        Raises
        ------
        DeviceError
            If the predicted time exceeds the limit.
        """
        self._reporter.progress(done, total, stage)
        now = time.monotonic()
        if done <= FIRST_PATCHES:
            self._first_s = now if done == FIRST_PATCHES else None
        elif self._first_s is not None:
            spent_s = now - self._first_s
            predicted_s = spent_s / (done - FIRST_PATCHES) * total
            if predicted_s > self._max_s and spent_s >= min(LEAST_S, self._max_s):
                raise DeviceError(
                    f"The networks would need about {_duration(predicted_s)} for {total:,} patches, "
                    f"more than the {_duration(self._max_s)} that are allowed.",
                    f"Crop the volume, use --roi or --localise, or raise {flag('max_hours')}.",
                )


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.2g} min"
