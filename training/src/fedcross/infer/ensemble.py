"""An ensemble over a volume: one member at a time, whole volume each, spread over the blended maps.

The order matters. The spread is that of the members' *blended* probability maps, so each member goes
over all patches before the next begins, and what it found is folded into running statistics. Only one
member and one set of maps are in memory, however many members there are.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedcross.errors import DeviceError
from fedcross.infer.patches import gaussian_weight, padding, plan_patches
from fedcross.method.uncertainty import EnsembleStatistics, Measure
from fedcross.model.manifest import Manifest

Array = NDArray[np.float32]
PatchDone = Callable[[], None]


def blend(
    network: nn.Module,
    volume: Array,
    *,
    patch_size: tuple[int, int, int],
    overlap: float,
    classes: int,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    temperature: float = 1.0,
    patch_done: PatchDone | None = None,
) -> Array:
    """Run one member over a volume: softmax in every patch, then the Gaussian-weighted mean.

    Parameters
    ----------
    network
        In evaluation mode and on `device`: images to logits.
    volume
        (D, H, W) float32, preprocessed. Sides shorter than the patch are padded with 0, the mean
        intensity.
    patch_size
        (x, y, z).
    overlap
        Fraction by which neighbouring patches overlap.
    classes
        C, background included.
    device, precision
        Where and in which format the network computes; softmax and blending are float32.
    temperature
        Divides the logits.
    patch_done
        Called after every patch.

    Returns
    -------
    ndarray
        (C, D, H, W) float32, adding up to 1 over C.

    Raises
    ------
    DeviceError
        If the GPU's memory does not suffice.
    """
    patch = patch_size[::-1]
    margins = padding(volume.shape, patch)
    padded = torch.from_numpy(np.pad(volume, margins)).to(device)
    weight = torch.from_numpy(gaussian_weight(patch)).to(device)
    try:
        blended = torch.zeros((classes, *padded.shape), device=device)
        total = torch.zeros(padded.shape, device=device)
        for start in plan_patches(tuple(padded.shape), patch, overlap):
            window = tuple(slice(a, a + side) for a, side in zip(start, patch, strict=True))
            logits = _logits(network, padded[window][None, None], precision)
            blended[(slice(None), *window)] += (logits / temperature).softmax(dim=1)[0] * weight
            total[window] += weight
            if patch_done is not None:
                patch_done()
        blended /= total
        inner = tuple(
            slice(before, before + side)
            for (before, _), side in zip(margins, volume.shape, strict=True)
        )
        return np.ascontiguousarray(blended[(slice(None), *inner)].cpu().numpy())
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"The GPU's memory does not suffice for patches of {patch_size} voxels.",
            "Use --device cpu, or close other programs that use the GPU.",
        ) from error


def patch_count(volume: Array, patch_size: tuple[int, int, int], overlap: float) -> int:
    """Return how many patches `blend` will run."""
    patch = patch_size[::-1]
    padded = tuple(
        side + sum(margin)
        for side, margin in zip(volume.shape, padding(volume.shape, patch), strict=True)
    )
    return len(plan_patches(padded, patch, overlap))


def run_ensemble(
    manifest: Manifest,
    load_member: Callable[[int], nn.Module],
    volume: Array,
    measure: Measure,
    *,
    device: torch.device,
    precision: torch.dtype,
    member_done: Callable[[int, Array], None],
    patch_done: PatchDone | None = None,
) -> EnsembleStatistics:
    """Run every member and gather mean and spread.

    Parameters
    ----------
    manifest
        Of the bundle.
    load_member
        Gives member k, on `device` and in evaluation mode; it is let go before the next is asked for.
    volume
        (D, H, W) float32, preprocessed.
    measure
        The spread that will be asked for.
    member_done
        Given k and that member's blended probabilities (C, D, H, W); must not keep them.

    Returns
    -------
    EnsembleStatistics
        Over the members' blended maps.
    """
    classes = manifest.architecture.classes
    statistics = EnsembleStatistics((classes, *volume.shape), {measure})
    for k in range(len(manifest.members)):
        probabilities = blend(
            load_member(k),
            volume,
            patch_size=manifest.preprocessing.patch_size,
            overlap=manifest.preprocessing.overlap,
            classes=classes,
            device=device,
            precision=precision,
            temperature=manifest.calibration.temperature,
            patch_done=patch_done,
        )
        statistics.update(probabilities)
        member_done(k, probabilities)
    return statistics


def _logits(network: nn.Module, patch: Tensor, precision: torch.dtype) -> Tensor:
    with (
        torch.inference_mode(),
        torch.autocast(patch.device.type, precision, enabled=precision != torch.float32),
    ):
        logits: Tensor = network(patch)
    return logits.float()
