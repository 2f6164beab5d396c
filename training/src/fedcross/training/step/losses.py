"""Loss functions: soft Dice or Tversky with cross-entropy or focal loss, and distillation.

A structure that was not drawn at a site has no gradient there, whatever the loss: its probability is
added to the background's before the loss is computed (marginal loss: Shi et al., "Marginal loss and
exclusion loss for partially supervised multi-organ segmentation", Medical Image Analysis 2021).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fedcross.training.config.loss import LossConfig
from fedcross.training.step.custom_parts import Missing, make_custom_loss

SMOOTH = 1.0
SMALLEST_MISS = 1e-6
"""Lower bound of 1 - p in the focal loss; the gradient of its power may be infinite at 0."""

Loss = Callable[[Tensor, Tensor, Missing], Tensor]
"""Loss of a batch: ``loss(logits, target, missing)``.

Parameters
----------
logits
    (N, C, D, H, W) of any floating-point type; the loss is computed in float32.
target
    (N, D, H, W) int64 with values from 0 to C - 1.
missing
    The labels that were not drawn, for each of the N samples; None if all were drawn in all samples.

Returns
-------
Tensor
    Scalar, float32.
"""


def make_loss(settings: LossConfig, device: torch.device) -> Loss:
    """Return the loss that a configuration asks for.

    Parameters
    ----------
    settings
        Kind and parameters of the loss.
    device
        Device of the logits.

    Raises
    ------
    PluginError
        If the loss is code of another package that is not installed, not allowed, or does not work.
    """
    if settings.plugin is not None:
        return make_custom_loss(settings.plugin)
    weights = None
    if settings.class_weights:
        weights = torch.tensor(settings.class_weights, dtype=torch.float32, device=device)

    def loss(logits: Tensor, target: Tensor, missing: Missing = None) -> Tensor:
        logs = marginal_log_probabilities(logits, missing)
        if settings.kind == "tversky-ce":
            region = tversky(logs.exp(), target, settings.tversky_alpha, settings.tversky_beta)
        else:
            region = soft_dice(logs.exp(), target)
        if settings.kind == "dice-focal":
            return region + focal(logs, target, settings.focal_gamma, weights)
        return region + F.nll_loss(logs, target, weights)

    return loss


def dice_ce_loss(logits: Tensor, target: Tensor, missing: Missing = None) -> Tensor:
    """Soft Dice loss plus mean cross-entropy over the voxels; the parameters are those of `Loss`.

    This is the loss of the authors of Xu et al., MIDL 2023.
    """
    logs = marginal_log_probabilities(logits, missing)
    return soft_dice(logs.exp(), target) + F.nll_loss(logs, target)


def soft_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """Return the soft Dice loss, averaged over the classes; the background is a class as well.

    With the probability p_c and the one-hot target t_c, the loss of class c is::

        1 - (2 sum(p_c t_c) + 1) / (sum(p_c^2) + sum(t_c^2) + 1)

    The sums are over all voxels of the batch. The squared denominator is that of Milletari et al.,
    V-Net, 3DV 2016. A class that is neither present nor predicted has the loss 0.

    Parameters
    ----------
    probabilities
        (N, C, D, H, W) float32.
    target
        (N, D, H, W) int64.
    """
    losses = []
    for index in range(probabilities.shape[1]):
        p, t = probabilities[:, index], target == index
        overlap = 2 * (p * t).sum() + SMOOTH
        losses.append(1 - overlap / (p.square().sum() + t.sum() + SMOOTH))
    return torch.stack(losses).mean()


def tversky(probabilities: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    """Return the Tversky loss, averaged over the classes; the background is a class as well.

    With the probability p_c and the one-hot target t_c, the loss of class c is::

        1 - (TP + 1) / (TP + alpha FP + beta FN + 1)
        TP = sum(p_c t_c), FP = sum(p_c (1 - t_c)), FN = sum((1 - p_c) t_c)

    The sums are over all voxels of the batch (Salehi et al., "Tversky loss function for image
    segmentation using 3D fully convolutional deep networks", MLMI 2017). A class that is neither present
    nor predicted has the loss 0.

    Parameters
    ----------
    probabilities
        (N, C, D, H, W) float32.
    target
        (N, D, H, W) int64.
    alpha, beta
        Weights of false positives and false negatives.
    """
    losses = []
    for index in range(probabilities.shape[1]):
        p, t = probabilities[:, index], target == index
        hit = (p * t).sum()
        false = alpha * (p.sum() - hit) + beta * (t.sum() - hit)
        losses.append(1 - (hit + SMOOTH) / (hit + false + SMOOTH))
    return torch.stack(losses).mean()


def focal(
    log_probabilities: Tensor, target: Tensor, gamma: float, weights: Tensor | None = None
) -> Tensor:
    r"""Return the focal loss, the weighted mean of :math:`-(1 - p)^\gamma \log p` over the voxels.

    p is the probability of the voxel's class (Lin et al., "Focal loss for dense object detection", ICCV
    2017). With gamma 0 it is the cross-entropy.

    Parameters
    ----------
    log_probabilities
        (N, C, D, H, W) float32.
    target
        (N, D, H, W) int64.
    gamma
        Exponent, at least 0.
    weights
        Weight of every class, (C,) float32; None if all are the same.
    """
    logs = log_probabilities.gather(1, target[:, None])[:, 0]
    losses = -(1 - logs.exp()).clamp(min=SMALLEST_MISS).pow(gamma) * logs
    if weights is None:
        return losses.mean()
    each = weights[target]
    return (each * losses).sum() / each.sum()


def marginal_log_probabilities(logits: Tensor, missing: Missing) -> Tensor:
    """Return the logarithms of the probabilities, with those of missing classes in the background's.

    The parameters are those of `Loss`. A missing class has the probability 0 in its sample.
    """
    log_probabilities = F.log_softmax(logits.float(), dim=1)
    if missing is None or not any(missing):
        return log_probabilities
    return torch.stack(
        [
            _merge_missing(each, labels)
            for each, labels in zip(log_probabilities, missing, strict=True)
        ]
    )


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
