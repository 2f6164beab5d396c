"""Batch normalisation folded into the convolution before it: less to compute, the same result."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_normalisation(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation that directly follows a convolution in a sequence, in place.

    Parameters
    ----------
    network
        In evaluation mode. Other normalisations depend on the image and stay.

    Returns
    -------
    torch.nn.Module
        `network`; its outputs differ by rounding only.
    """
    for sequence in network.modules():
        if not isinstance(sequence, nn.Sequential):
            continue
        for position in range(len(sequence) - 1):
            before, after = sequence[position], sequence[position + 1]
            if isinstance(before, nn.Conv3d) and isinstance(after, nn.BatchNorm3d):
                sequence[position] = fuse_conv_bn_eval(before, after)
                sequence[position + 1] = nn.Identity()
    return network
