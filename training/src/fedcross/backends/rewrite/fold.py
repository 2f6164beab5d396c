"""Fold batch normalisation into the convolution before it, which saves operations."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_normalisation(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation that directly follows a convolution in a sequence, in place.

    Parameters
    ----------
    network
        Network in evaluation mode. Other normalisations depend on the image and are not folded.

    Returns
    -------
    torch.nn.Module
        `network`, whose outputs change by rounding only.
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
