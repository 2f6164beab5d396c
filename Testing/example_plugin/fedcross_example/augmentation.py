"""An augmentation: a box of the image is set to the mean intensity."""

import torch
from torch import Tensor


class Erase:
    """Set a random box of the image to 0, the mean of z-scores (Zhong et al., AAAI 2020).

    Parameters
    ----------
    probability
        Probability that a patch is changed.
    share
        Side of the box as a share of the side of the patch, from 0 to 1.
    """

    def __init__(self, probability: float = 0.5, share: float = 0.25) -> None:
        self.probability, self.share = probability, share

    def __call__(
        self, image: Tensor, label: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return a changed image (C, D, H, W), and the label (D, H, W) as it is.

        `generator` is on the CPU and gives all random numbers.
        """
        chance, *places = torch.rand(4, generator=generator).tolist()
        if chance >= self.probability:
            return image, label
        image = image.clone()
        sides = [round(self.share * side) for side in label.shape]
        starts = [
            int(p * (n - side)) for p, n, side in zip(places, label.shape, sides, strict=True)
        ]
        z, y, x = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
        image[:, z, y, x] = 0
        return image, label
