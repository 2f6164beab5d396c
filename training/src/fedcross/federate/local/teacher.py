"""The loss with which one network learns the probabilities of an ensemble."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fedcross.training.step.losses import distillation_loss


class Teacher:
    """The divergence of a network's probabilities from the mean of an ensemble's.

    It is added to the loss on the labels, see `fedcross.training.step.local_training.AddedLoss`.

    Parameters
    ----------
    members
        The K networks of the ensemble in evaluation mode, on the device of the training.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        self._members = members

    def loss(self, images: Tensor, logits: Tensor) -> Tensor:
        r"""Return :math:`KL(\bar p \,\|\, softmax(s))`; :math:`\bar p` is the members' mean softmax.

        Parameters
        ----------
        images
            Batch, (N, channels, D, H, W).
        logits
            Output s of the network that learns, (N, C, D, H, W).

        Returns
        -------
        Tensor
            Scalar, float32; the mean over all voxels.
        """
        with torch.no_grad():
            logs = torch.stack([member(images).float().log_softmax(1) for member in self._members])
            mean = logs.logsumexp(dim=0)  # the logarithm of K times the mean probability
        return distillation_loss(logits, mean, temperature=1.0)

    def add_gradient(self) -> None:
        """Add nothing; the gradient is that of `loss`."""
