"""Losses: the FedCross authors' soft Dice with cross-entropy, and distillation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = 1.0


def dice_ce_loss(
    logits: Tensor, target: Tensor, missing: Sequence[Sequence[int]] | None = None
) -> Tensor:
    """Soft Dice loss, averaged over the classes, plus mean cross-entropy over the voxels.

    With p_c the softmax of the logits and t_c the one-hot target, both summed over the whole batch
    at once (not patch by patch), the Dice loss of class c, background included, is::

        1 - (2 sum(p_c t_c) + 1) / (sum(p_c^2) + sum(t_c^2) + 1)

    Milletari et al., V-Net, 3DV 2016, for the squared denominator; as configured by the authors of
    Xu et al., MIDL 2023. A class that is absent and not predicted costs nothing.

    Parameters
    ----------
    logits
        (N, C, D, H, W) of any floating type; the loss is computed in float32.
    target
        (N, D, H, W) int64, values 0 to C - 1.
    missing
        For each sample the labels that nobody drew in it; None when all are drawn in all. They then
        count as background there, in what is predicted as in what is drawn, so that the sample
        teaches nothing about where they are (marginal loss: Shi et al., "Marginal loss and exclusion
        loss for partially supervised multi-organ segmentation", Medical Image Analysis 2021).

    Returns
    -------
    Tensor
        Scalar, float32.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    if missing is not None and any(missing):
        log_probabilities = torch.stack(
            [_merged(each, labels) for each, labels in zip(log_probabilities, missing, strict=True)]
        )
    probabilities = log_probabilities.exp()
    losses = []
    for index in range(logits.shape[1]):
        p, t = probabilities[:, index], target == index
        overlap = 2 * (p * t).sum() + SMOOTH
        losses.append(1 - overlap / (p.square().sum() + t.sum() + SMOOTH))
    return torch.stack(losses).mean() + F.nll_loss(log_probabilities, target)


def _merged(log_probabilities: Tensor, missing: Sequence[int]) -> Tensor:
    """One sample's (C, D, H, W) with the missing classes' probability added to the background's."""
    if not missing:
        return log_probabilities
    classes = list(log_probabilities)
    together = torch.logsumexp(log_probabilities[[0, *missing]], dim=0)
    nothing = torch.full_like(together, -torch.inf)
    return torch.stack(
        [together, *(nothing if c in missing else classes[c] for c in range(1, len(classes)))]
    )


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""How far a student's softened probabilities are from a teacher's.

    :math:`T^2 \, KL(softmax(t / T) \,\|\, softmax(s / T))`, mean over the voxels (Hinton et al.,
    "Distilling the Knowledge in a Neural Network", 2015; T^2 keeps the gradient's size as T changes).

    Parameters
    ----------
    logits, teacher
        (N, C, D, H, W) of any floating type; the loss is computed in float32.
    temperature
        T, above 0.

    Returns
    -------
    Tensor
        Scalar, float32; 0 where both are equal, never negative but for rounding.
    """
    ours = F.log_softmax(logits.float() / temperature, dim=1)
    theirs = F.log_softmax(teacher.float() / temperature, dim=1)
    divergence = (theirs.exp() * (theirs - ours)).sum(dim=1)  # (N, D, H, W)
    return temperature**2 * divergence.mean()
