"""The members of a bundle over one volume: their mean, their spread, and what each says.

Member-outer: one member is alive at a time. Its patches are blended slab by slab; a slab goes into
streaming statistics, and onto the input's own grid, where the member's label map goes to disk. So
memory does not grow with the number K of members. With C classes, n voxels on the networks' grid, N of
the input, and s in as many slices as a patch is deep, it takes, beside a member at work on a patch,

    4 n + N + g + about 24 C s  bytes:

z-scores, a label map, what the statistics gather, and slabs. For all measures g is (5 C + 8) n, on disk
and not in memory where that exceeds `fedcross.infer.spread.MAX_BYTES_IN_MEMORY`. Before, while the
volume is prepared, memory holds the file's voxels twice and the z-scores twice; after, when the z-scores
are gone, about 16 N at most (for the distances, `fedcross.infer.distance`).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedcross.infer import spread
from fedcross.infer.events import Reporter
from fedcross.infer.geometry import reordered
from fedcross.infer.member_labels import MemberLabels
from fedcross.infer.patches import (
    PatchPredictor,
    Progress,
    Slab,
    blend_patches,
    count_patches,
    stream_patches,
)
from fedcross.infer.preprocess import Prepared, on_oriented
from fedcross.infer.region import Region
from fedcross.infer.spread import SlabStatistics
from fedcross.method.uncertainty import Measure
from fedcross.model.manifest import Manifest

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fedcross.infer.device import Precision

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
    """

    statistics: SlabStatistics
    member_labels: Sequence[MemberLabels]


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
        As in `fedcross.infer.patches.blend_patches`.
    device, precision, temperature
        As in `fedcross.infer.torch_predictor.TorchPredictor`.

    Returns
    -------
    NDArray
        float32 (C, D, H, W).
    """
    # Here and not above: other back-ends run the ensemble without PyTorch.
    from fedcross.infer.torch_predictor import TorchPredictor

    return blend_patches(
        TorchPredictor(network, device=device, precision=precision, temperature=temperature),
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
        the statistics are larger than `fedcross.infer.spread.MAX_BYTES_IN_MEMORY`, another one holds
        these. The outcome lives as long as the files.
    measures
        The measures of spread that will be asked for.
    region
        What is segmented; None is the whole volume. Patches that do not touch it are left out, and
        outside it the members' label maps are background.
    reporter
        Told about every patch.

    Raises
    ------
    OSError
        If a file cannot be written: the disk is full.
    """
    members = len(manifest.members)
    classes = manifest.architecture.classes
    patch = manifest.preprocessing.patch_size[::-1]
    overlap = manifest.preprocessing.overlap
    # One voxel more on each side: interpolation to the input's own grid looks at neighbours.
    needed = region.bounds(prepared.grid, margin=1) if region else None
    inside = region.mask(prepared.source) if region else None
    patches = count_patches(prepared.array.shape, patch, overlap, needed)
    shape = (classes, *prepared.array.shape)
    small = SlabStatistics.nbytes(shape, measures) <= spread.MAX_BYTES_IN_MEMORY
    statistics = SlabStatistics(shape, measures, None if small else open_spool())
    spool = open_spool()

    def said(index: int) -> Iterator[Slab]:  # a function, so that nothing of a member outlives it
        def told(done: int, _: int) -> None:
            reporter.progress(index * patches + done, members * patches, STAGE)

        for part, probabilities in stream_patches(
            load_member(index),
            prepared.array,
            patch=patch,
            overlap=overlap,
            classes=classes,
            needed=needed,
            progress=told,
        ):
            statistics.update(part, probabilities)
            yield part, probabilities

    for index in range(members):
        # Written, not mapped: a full disk is then an error and not a crash.
        spool.write(label_map_of_slabs(said(index), prepared, inside).data)
    spool.flush()
    labels = [MemberLabels(spool, index, prepared.source.shape) for index in range(members)]
    return EnsembleOutcome(statistics, labels)


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
        Probabilities on the networks' grid as `fedcross.infer.preprocess.on_oriented` takes them; class
        0 is the background. They are interpolated first and compared then, class by class.
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
    oriented = reordered(labels, prepared.source, prepared.oriented)
    for part, probabilities in on_oriented(slabs, prepared):
        best, winner = probabilities[0], oriented[part]
        for label in range(1, len(probabilities)):
            winner[probabilities[label] > best] = label
            best = np.maximum(best, probabilities[label])
    if inside is not None:
        labels[~inside] = 0
    return labels
