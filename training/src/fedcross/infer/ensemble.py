"""The members of a bundle over one volume: their mean, their spread, and what each says.

Member-outer: one member is alive at a time. Its patches are blended into one map of probabilities,
which goes into streaming statistics; its label map goes to disk. So the memory does not grow with the
number K of members: beside the volume it takes float32 maps on the networks' grid, C for the member
at work, C for the mean, up to 2 + C / 4 for the measures of spread, and one for the weights (C
classes).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedcross.infer.events import Reporter
from fedcross.infer.patches import PatchPredictor, Progress, blend_patches, count_patches
from fedcross.infer.preprocess import Prepared, to_source_grid
from fedcross.infer.region import Region
from fedcross.method.uncertainty import EnsembleStatistics, Measure
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
    statistics : EnsembleStatistics
        Over the members' blended probabilities, on the networks' grid.
    member_labels : NDArray
        uint8 (K, D, H, W): each member's label map on the input's own grid, memory-mapped.
    """

    statistics: EnsembleStatistics
    member_labels: NDArray[np.uint8]


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
    spool: IO[bytes],
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
    spool
        An empty file opened for reading and writing, to hold a byte per voxel and member; the
        outcome lives as long as this file.
    measures
        The measures of spread that will be asked for.
    region
        What is segmented; None is the whole volume. Patches that do not touch it are left out, and
        outside it the members' label maps are background.
    reporter
        Told about every patch.
    """
    members = len(manifest.members)
    classes = manifest.architecture.classes
    patch = manifest.preprocessing.patch_size[::-1]
    overlap = manifest.preprocessing.overlap
    # One voxel more on each side: interpolation to the input's own grid looks at neighbours.
    needed = region.bounds(prepared.grid, margin=1) if region else None
    inside = region.mask(prepared.source) if region else None
    patches = count_patches(prepared.array.shape, patch, overlap, needed)
    statistics = EnsembleStatistics((classes, *prepared.array.shape), measures)

    def take_in(index: int) -> None:  # a function, so that nothing of a member outlives it
        def told(done: int, _: int) -> None:
            reporter.progress(index * patches + done, members * patches, STAGE)

        probabilities = blend_patches(
            load_member(index),
            prepared.array,
            patch=patch,
            overlap=overlap,
            classes=classes,
            needed=needed,
            progress=told,
        )
        statistics.update(probabilities)
        # Written, not mapped: a full disk is then an error and not a crash.
        spool.write(label_map(probabilities, prepared, inside).tobytes())

    for index in range(members):
        take_in(index)
    spool.flush()
    shape = (members, *prepared.source.shape)
    return EnsembleOutcome(statistics, np.memmap(spool, np.uint8, mode="r", shape=shape))


def label_map(
    probabilities: NDArray[np.float32], prepared: Prepared, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Return the most probable class of every voxel of the input's own grid.

    Parameters
    ----------
    probabilities
        float32 (C, D, H, W) on the networks' grid; class 0 is the background. They are interpolated
        first and compared then, class by class.
    prepared
        The volume.
    inside
        (z, y, x) as stored: elsewhere is background; None is everywhere.

    Returns
    -------
    NDArray
        uint8 (z, y, x) as stored; of equal classes the lowest.
    """
    best = to_source_grid(probabilities[0], prepared)
    labels = np.zeros(best.shape, dtype=np.uint8)
    for label in range(1, len(probabilities)):
        candidate = to_source_grid(probabilities[label], prepared)
        labels[candidate > best] = label
        best = np.maximum(best, candidate)  # not in place: it may be the caller's own array
    if inside is not None:
        labels[~inside] = 0
    return labels
