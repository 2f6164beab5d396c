"""How a network lies in memory: channels last, unless that is slower or less exact."""

import torch
from torch import nn


def choose_memory_format(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the order in which the tensors of a network of 3D convolutions are best stored.

    Convolutions are faster with channels last. On a CPU two kinds of normalisation are not made for it:
    group normalisation takes the variance as a difference of large sums there, which is wrong in the
    first digit where a patch is almost constant; and instance normalisation reorders all voxels and
    leaves them so, which costs more than it gains but in training.

    Parameters
    ----------
    network
        In the mode in which it will be used.
    device
        Where it will run.

    Returns
    -------
    torch.memory_format
        For the network's weights: an image of one channel lies in both orders at once, and what a
        convolution makes of it lies as its weights do.
    """
    if device.type == "cpu":
        unfit = (nn.GroupNorm,) if network.training else (nn.GroupNorm, nn.InstanceNorm3d)
        if any(isinstance(module, unfit) for module in network.modules()):
            return torch.contiguous_format
    return torch.channels_last_3d
