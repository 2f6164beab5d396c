"""A small segmentation network with two levels."""

import torch
from torch import Tensor, nn


class TwoLevelNetwork(nn.Module):
    """Two convolutions at the full and two at half the resolution, joined by a last convolution.

    Parameters
    ----------
    in_channels
        Channels of the image.
    classes
        Output classes, background included.
    channels
        Channels of the first level; the second has twice as many.
    """

    def __init__(self, in_channels: int, classes: int, channels: int = 8) -> None:
        super().__init__()
        self.fine = _convolutions(in_channels, channels)
        self.down = nn.MaxPool3d(2)
        self.coarse = _convolutions(channels, 2 * channels)
        self.up = nn.Upsample(scale_factor=2)
        self.last = nn.Conv3d(3 * channels, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 (N, in_channels, D, H, W) to logits (N, classes, D, H, W)."""
        fine = self.fine(image)
        coarse = self.up(self.coarse(self.down(fine)))
        return self.last(torch.cat([fine, coarse], dim=1))


def _convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, 3, padding=1),
        nn.InstanceNorm3d(out_channels, affine=True),
        nn.ReLU(),
        nn.Conv3d(out_channels, out_channels, 3, padding=1),
        nn.InstanceNorm3d(out_channels, affine=True),
        nn.ReLU(),
    )
