"""Rules for the network: architecture, width, and the memory of a training step. Numbers only."""

import math
from collections.abc import Sequence

from fedcross.model.architecture import Architecture, DynUNetArchitecture

UNET_DIVISOR = 16
UNET_BYTES = 120
"""Memory of a training step per voxel and channel of the first level, in bytes.

Measured for the U-Net in fp32 on a CPU, as the growth of the process: 103 (8 channels, four patches of
96 x 96 x 16), 113 (8 channels, two of 128 x 128 x 16), 116 (16 channels, two of 64 x 64 x 32). About
half of it are the activations that the backward pass needs. Not measured on a GPU, where bf16 needs
less.
"""

DYNUNET_BYTES = 160  # measured likewise: 158 and 127
CUSTOM_CHANNELS = 32
"""Channels of the first level that are assumed for a network of another package."""

CPU_GB = 0.6
"""Memory that a plan for a CPU uses unless it is given. It limits the time of a step, not the memory.

It allows two patches of 128 x 128 x 16 with 8 channels. A step of 590,000 voxels with 8 channels takes
0.75 to 1.2 seconds on two cores.
"""

WIDTHS = ((4.0, 32), (2.0, 16), (0.0, 8))  # from so many GB: channels of the first level
MAX_PADDING = 1.5
MIN_SIDE = 4  # voxels along an axis at the lowest level of a DynUNet
MAX_LEVELS = 5
MAX_FILTERS = 320  # as in nnU-Net


def choose_width(memory_gb: float, size: Sequence[float], batch: int) -> int:
    """Choose the channels of the first level: 32, 16 or 8.

    32 from 4 GB, 16 from 2 GB, and also with less memory if it holds a step of whole cases with so many
    channels; else 8. The FedCross authors and nnU-Net (Isensee et al., Nature Methods 2021) begin with
    32. At 4 GB a step with 32 channels has one million voxels. With less memory a patch of a large case
    would become too small, and a narrower network is better; this project's choice.

    Measured on 24 hippocampi, pooled, 2,304 steps, one run each: mean test Dice 0.788 with 8 channels,
    0.803 with 16; two runs with 32 and half of the patches per step: 0.805 and 0.819.

    Parameters
    ----------
    memory_gb
        Memory of a step, 10^9 bytes.
    size
        Voxels of the median case, (x, y, z).
    batch
        Patches per step.
    """
    whole = batch * math.prod(UNET_DIVISOR * math.ceil(side / UNET_DIVISOR) for side in size)
    return next(
        width
        for least, width in WIDTHS
        if memory_gb >= least or step_voxels(memory_gb, width) >= whole
    )


def step_voxels(memory_gb: float, width: int, bytes_per_channel: int = UNET_BYTES) -> float:
    """Return how many voxels the patches of one step may have together, see `UNET_BYTES`.

    Parameters
    ----------
    memory_gb
        Memory in 10^9 bytes.
    width
        Channels of the first level.
    bytes_per_channel
        Bytes per voxel and channel of the first level.
    """
    return memory_gb * 1e9 / (bytes_per_channel * width)


def needs_dynunet(size: Sequence[float]) -> bool:
    """Whether the median case is too thin for the U-Net, which halves every axis four times.

    It is if an axis would have to be padded to more than 1.5 times its length to reach 16 voxels. Then a
    DynUNet takes its place, whose levels halve only the axes that are long enough.

    Parameters
    ----------
    size
        Voxels of the median case, (x, y, z).
    """
    return min(size) * MAX_PADDING < UNET_DIVISOR


def design_dynunet(
    size: Sequence[float], spacing_mm: Sequence[float], width: int, classes: int
) -> DynUNetArchitecture:
    """Choose the levels of a DynUNet by nnU-Net's rule.

    A level halves an axis if at least four voxels remain, and if its spacing is less than twice the
    smallest spacing of such an axis. The channels double at every level, up to 320. It has three to five
    levels, as many as the axes allow.

    Parameters
    ----------
    size
        Voxels of the median case, (x, y, z).
    spacing_mm
        Voxel spacing, mm.
    width
        Channels of the first level.
    classes
        Output classes, background included.
    """
    strides, sides, steps = [(1, 1, 1)], list(size), list(spacing_mm)
    while len(strides) < MAX_LEVELS:
        long = [side >= 2 * MIN_SIDE for side in sides]
        if not any(long):
            break
        finest = min(step for step, enough in zip(steps, long, strict=True) if enough)
        halved = [enough and step < 2 * finest for step, enough in zip(steps, long, strict=True)]
        stride = [2 if half else 1 for half in halved]
        sides = [side / by for side, by in zip(sides, stride, strict=True)]
        steps = [step * by for step, by in zip(steps, stride, strict=True)]
        strides.append((stride[0], stride[1], stride[2]))
    while len(strides) < 3:  # the fewest that the architecture allows
        strides.append((1, 1, 1))
    filters = [min(width * 2**level, MAX_FILTERS) for level in range(len(strides))]
    return DynUNetArchitecture(filters=filters, strides=strides, classes=classes)


def memory_bytes(network: Architecture) -> tuple[int, int]:
    """Return (bytes per voxel and channel, channels of the first level) of a network."""
    if network.name == "unet":
        return UNET_BYTES, network.base_channels
    if network.name == "custom":
        return DYNUNET_BYTES, CUSTOM_CHANNELS
    first = network.init_filters if network.name == "segresnet" else network.filters[0]
    return DYNUNET_BYTES, first
