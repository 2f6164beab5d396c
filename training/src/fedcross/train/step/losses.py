"""Loss functions: the FedCross authors' soft Dice with cross-entropy, and distillation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTH = 1.0


def dice_ce_loss(
    logits: Tensor, target: Tensor, missing: Sequence[Sequence[int]] | None = None
) -> Tensor:
    """Soft Dice loss, averaged over the classes, plus mean cross-entropy over the voxels.

    With the softmax p_c of the logits and the one-hot target t_c, the Dice loss of class c is::

        1 - (2 sum(p_c t_c) + 1) / (sum(p_c^2) + sum(t_c^2) + 1)

    The sums are over all voxels of the batch, and the background is a class as well. The squared
    denominator is that of Milletari et al., V-Net, 3DV 2016; the authors of Xu et al., MIDL 2023, use
    this form. A class that is neither present nor predicted has the Dice loss 0.

    Parameters
    ----------
    logits
        (N, C, D, H, W) of any floating-point type; the loss is computed in float32.
    target
        (N, D, H, W) int64 with values from 0 to C - 1.
    missing
        The labels that were not drawn, for each of the N samples; None if all were drawn in all
        samples. In such a sample the probability of these classes is added to the background's, so
        that the sample has no gradient that separates them from the background (marginal loss: Shi et
        al., "Marginal loss and exclusion loss for partially supervised multi-organ segmentation",
        Medical Image Analysis 2021).

    Returns
    -------
    Tensor
        Scalar, float32.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    if missing is not None and any(missing):
        log_probabilities = torch.stack(
            [
                _merge_missing(each, labels)
                for each, labels in zip(log_probabilities, missing, strict=True)
            ]
        )
    probabilities = log_probabilities.exp()
    losses = []
    for index in range(logits.shape[1]):
        p, t = probabilities[:, index], target == index
        overlap = 2 * (p * t).sum() + SMOOTH
        losses.append(1 - overlap / (p.square().sum() + t.sum() + SMOOTH))
    return torch.stack(losses).mean() + F.nll_loss(log_probabilities, target)


def _merge_missing(log_probabilities: Tensor, missing: Sequence[int]) -> Tensor:
    """Add the missing classes' probabilities to the background's; (C, D, H, W) of one sample."""
    if not missing:
        return log_probabilities
    classes = list(log_probabilities)
    background = torch.logsumexp(log_probabilities[[0, *missing]], dim=0)
    zero = torch.full_like(background, -torch.inf)  # logarithm of the probability 0
    return torch.stack(
        [background, *(zero if c in missing else classes[c] for c in range(1, len(classes)))]
    )


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    r"""Compute the divergence of a student's softened probabilities from a teacher's.

    It is :math:`T^2 \, KL(softmax(t / T) \,\|\, softmax(s / T))` with the student's logits s, the
    teacher's logits t and the temperature T, as the mean over all voxels (Hinton et al., "Distilling
    the Knowledge in a Neural Network", 2015). The factor T^2 keeps the gradient's size independent of T.

    Parameters
    ----------
    logits, teacher
        Logits of the student and the teacher, (N, C, D, H, W) of any floating-point type; the loss is
        computed in float32.
    temperature
        The temperature T, above 0.

    Returns
    -------
    Tensor
        Scalar, float32; at least 0 up to rounding, and 0 if both probabilities are equal.
    """
    student_log = F.log_softmax(logits.float() / temperature, dim=1)
    teacher_log = F.log_softmax(teacher.float() / temperature, dim=1)
    divergence = (teacher_log.exp() * (teacher_log - student_log)).sum(dim=1)  # (N, D, H, W)
    return temperature**2 * divergence.mean()
