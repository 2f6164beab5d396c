"""A loss: cross-entropy and the negative logarithm of the soft Dice."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from fedcross.training.step.losses import marginal_log_probabilities, soft_dice


class LogDiceCrossEntropy:
    """Mean cross-entropy plus ``weight * -log(Dice)``, after Wong et al., MICCAI 2018.

    Parameters
    ----------
    weight
        Weight of the logarithm of the Dice.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(
        self, logits: Tensor, target: Tensor, missing: Sequence[Sequence[int]] | None
    ) -> Tensor:
        """Return the loss, a scalar, of logits (N, C, D, H, W) and labels (N, D, H, W).

        `missing` lists the labels that were not drawn, for each of the N patches. They count as
        background here, as in the losses of FedCross.
        """
        logs = marginal_log_probabilities(logits, missing)
        dice = 1 - soft_dice(logs.exp(), target)
        return F.nll_loss(logs, target) - self.weight * dice.log()
