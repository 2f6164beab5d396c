"""Choose the memory format of a network: channels last, unless that is slower or less exact."""

import torch
from torch import nn

KNOWN = frozenset({"fedcross", "monai", "torch"})
"""Packages whose modules work in both formats."""


def choose_memory_format(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the best memory format for the weights of a network of 3D convolutions.

    Convolutions are faster with channels last. On a CPU two kinds of normalisation are exceptions.
    Group normalisation with channels last computes the variance as a difference of large sums, which is
    wrong in the first digit for an almost constant patch. Instance normalisation converts its input to
    channels first and returns it so; this costs more than channels last saves, except in training.
    Code of other packages than `KNOWN` may need the usual format, for example for a view of features.

    Parameters
    ----------
    network
        The network, in the mode (training or evaluation) in which it will be used.
    device
        Device on which it will run.

    Returns
    -------
    torch.memory_format
        Format for the network's weights. Images need no conversion: an image of one channel has both
        formats at once, one of several is converted by the first convolution, and the output of a
        convolution has the format of its weights.
    """
    if not all(type(module).__module__.partition(".")[0] in KNOWN for module in network.modules()):
        return torch.contiguous_format
    if device.type == "cpu":
        unfit = (nn.GroupNorm,) if network.training else (nn.GroupNorm, nn.InstanceNorm3d)
        if any(isinstance(module, unfit) for module in network.modules()):
            return torch.contiguous_format
    return torch.channels_last_3d
