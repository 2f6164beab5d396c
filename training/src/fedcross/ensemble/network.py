"""One PyTorch network over a whole volume, without a bundle: for evaluation during training."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedcross.patches.sliding_window import Progress, blend_patches

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fedcross.contract.request import Precision


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
    """Return a network's probabilities over a whole volume, blended from overlapping patches.

    Parameters
    ----------
    network
        Maps (N, channels, D, H, W) to logits (N, C, D, H, W); on `device`, in evaluation mode.
    volume
        Normalised intensities, float32 (channels, D, H, W).
    patch_size
        Voxels along (x, y, z).
    overlap
        Share of a patch by which neighbours overlap at least, 0 <= overlap < 1.
    classes
        C, background included.
    device
        Where `network` is.
    precision
        Number format that the network computes with.
    temperature
        The logits are divided by it before the softmax.
    progress
        Called with (patches done, patches in all) after each patch.

    Returns
    -------
    NDArray
        float32 (C, D, H, W).
    """
    # Other back-ends run an ensemble without PyTorch, which takes a second to import.
    from fedcross.backends.torch_backend import predictor_class

    return blend_patches(
        predictor_class(device)(
            network, device=device, precision=precision, temperature=temperature
        ),
        np.asarray(volume, dtype=np.float32),
        patch=patch_size[::-1],
        overlap=overlap,
        classes=classes,
        progress=progress,
    )
