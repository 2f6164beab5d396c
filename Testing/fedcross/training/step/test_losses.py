import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor

from fedcross.training.config.loss import LossConfig
from fedcross.training.step.losses import dice_ce_loss, focal, make_loss, soft_dice, tversky

KINDS = ("dice-ce", "dice-focal", "tversky-ce")


def loss_of(
    logits: Tensor, target: Tensor, missing: Sequence[Sequence[int]] | None = None, **options: Any
) -> Tensor:
    return make_loss(LossConfig.model_validate(options), logits.device)(logits, target, missing)


def drawn(seed: int, classes: int = 3, samples: int = 2) -> tuple[Tensor, Tensor]:
    """Random logits and labels of a batch."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, classes, 3, 4, 5, generator=generator)
    return logits, torch.randint(0, classes, (samples, 3, 4, 5), generator=generator)


def test_equal_probabilities_give_the_loss_computed_by_hand() -> None:
    # 8 voxels, all background, both classes with probability 1/2. Dice loss of the background:
    # 1 - (2*4 + 1) / (8/4 + 8 + 1) = 2/11; of the structure: 1 - 1 / (2 + 0 + 1) = 2/3.
    loss = dice_ce_loss(torch.zeros(1, 2, 2, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.long))
    assert loss.item() == pytest.approx((2 / 11 + 2 / 3) / 2 + math.log(2), abs=1e-6)


def test_a_certain_and_correct_prediction_has_loss_0() -> None:
    target = torch.randint(0, 3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    logits = 50.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    assert dice_ce_loss(logits, target).item() == pytest.approx(0, abs=1e-5)


def test_the_sums_are_over_the_whole_batch() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 3, 4, 4, generator=generator)
    target = torch.zeros(2, 3, 4, 4, dtype=torch.long)
    target[0] = 1  # the second patch is background only
    stacked = torch.cat([logits[0], logits[1]], dim=1)[None]
    whole = dice_ce_loss(stacked, torch.cat([target[0], target[1]])[None])
    assert dice_ce_loss(logits, target).item() == pytest.approx(whole.item(), abs=1e-6)
    each = [dice_ce_loss(logits[i : i + 1], target[i : i + 1]).item() for i in range(2)]
    assert abs(sum(each) / 2 - whole.item()) > 0.01


def test_the_loss_of_bfloat16_logits_is_computed_in_float32() -> None:
    logits = torch.zeros(1, 2, 32, 64, 64, dtype=torch.bfloat16)
    loss = dice_ce_loss(logits, torch.zeros(1, 32, 64, 64, dtype=torch.long))
    n = 32 * 64 * 64
    background = 1 - (n + 1) / (1.25 * n + 1)
    structure = 1 - 1 / (0.25 * n + 1)
    assert loss.item() == pytest.approx((background + structure) / 2 + math.log(2), abs=1e-5)


def test_a_structure_that_was_not_drawn_counts_as_background() -> None:
    # 8 voxels of background, three classes with probability 1/3, the third not drawn: the background
    # has 2/3. Dice loss of the background: 1 - (2*8*2/3 + 1) / (8*4/9 + 8 + 1) = 8/113; of the second
    # class: 1 - 1 / (8/9 + 1) = 8/17; of the third: 0. Cross-entropy: ln(3/2).
    loss = dice_ce_loss(
        torch.zeros(1, 3, 2, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.long), [(2,)]
    )
    assert loss.item() == pytest.approx((8 / 113 + 8 / 17) / 3 + math.log(1.5), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_does_not_separate_an_undrawn_structure_from_the_background(kind: str) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 3, 2, 3, 4, generator=generator).requires_grad_()
    target = torch.randint(0, 2, (1, 2, 3, 4), generator=generator)
    loss_of(logits, target, [(2,)], kind=kind, class_weights=(1, 2, 3)).backward()
    # Moving probability between the background and this structure does not change the loss: their
    # gradients have the ratio of their probabilities.
    background, _, unknown = logits.softmax(1).detach()[0]
    assert logits.grad is not None
    assert torch.allclose(logits.grad[0, 0] * unknown, logits.grad[0, 2] * background, atol=1e-8)
    assert logits.grad.abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_undrawn_structures_are_handled_for_each_sample(kind: str) -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 2, 3, 4, generator=generator)
    target = torch.randint(0, 2, (2, 2, 3, 4), generator=generator)
    known = loss_of(logits, target, kind=kind)
    assert loss_of(logits, target, [(), ()], kind=kind).item() == known.item()
    mixed = loss_of(logits, target, [(), (2,)], kind=kind)
    merged = logits.clone()
    merged[1, 0] = torch.logsumexp(logits[1, [0, 2]], 0)
    merged[1, 2] = -1e4
    assert mixed.item() == pytest.approx(loss_of(merged, target, kind=kind).item(), rel=1e-5)
    assert mixed.item() != known.item()


@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_of_a_certain_and_correct_prediction_is_0_and_its_gradient_finite(
    kind: str,
) -> None:
    target = torch.randint(0, 3, (2, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    logits = (50.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)).requires_grad_()
    options = {"focal_gamma": 0.5} if kind == "dice-focal" else {}
    loss = loss_of(logits, target, [(), ()], kind=kind, **options)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_focal_loss_of_equal_probabilities_is_computed_by_hand() -> None:
    # 8 voxels of background with probability 1/2: (1/2)^2 ln 2.
    logs = torch.full((1, 2, 2, 2, 2), math.log(0.5))
    target = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    assert focal(logs, target, 2.0).item() == pytest.approx(0.25 * math.log(2), abs=1e-6)


def test_the_tversky_loss_of_equal_probabilities_is_computed_by_hand() -> None:
    # 8 voxels of background with probability 1/2. Background: TP 4, FP 0, FN 4; structure: TP 0, FP 4.
    probabilities = torch.full((1, 2, 2, 2, 2), 0.5)
    target = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    background = 1 - 5 / (4 + 0.7 * 4 + 1)
    structure = 1 - 1 / (0.3 * 4 + 1)
    loss = tversky(probabilities, target, 0.3, 0.7)
    assert loss.item() == pytest.approx((background + structure) / 2, abs=1e-6)


def test_class_weights_weigh_the_voxels_of_each_class() -> None:
    # A voxel of each class, with probabilities 1/2 and 1/4 of their own class; weights 1 and 3.
    logs = torch.tensor([[0.5, 0.75], [0.5, 0.25]]).log().reshape(1, 2, 1, 1, 2)
    target = torch.tensor([0, 1]).reshape(1, 1, 1, 2)
    weighted = (math.log(2) + 3 * math.log(4)) / 4
    dice = soft_dice(logs.exp(), target).item()
    loss = loss_of(logs, target, class_weights=(1, 3))
    assert loss.item() == pytest.approx(dice + weighted, abs=1e-6)
    focused = (0.25 * math.log(2) + 3 * 0.5625 * math.log(4)) / 4
    loss = loss_of(logs, target, kind="dice-focal", class_weights=(1, 3))
    assert loss.item() == pytest.approx(dice + focused, abs=1e-6)


@given(st.integers(0, 10**6), st.floats(0, 5))
def test_monai_computes_the_same_focal_loss(seed: int, gamma: float) -> None:
    logits, target = drawn(seed)
    logs = logits.log_softmax(1)
    options = {"gamma": gamma, "use_softmax": True, "to_onehot_y": True, "reduction": "none"}
    total = FocalLoss(**options)(logits, target[:, None]).sum()
    assert focal(logs, target, gamma).item() == pytest.approx(
        total.item() / target.numel(), abs=1e-5
    )
    weights = torch.tensor([1.0, 2.0, 0.5])
    weighted = FocalLoss(**options, alpha=weights.tolist())(logits, target[:, None]).sum()
    assert focal(logs, target, gamma, weights).item() == pytest.approx(
        weighted.item() / weights[target].sum().item(), abs=1e-5
    )


@given(st.integers(0, 10**6), st.floats(0.01, 1), st.floats(0.01, 1))
def test_monai_computes_the_same_tversky_loss(seed: int, alpha: float, beta: float) -> None:
    logits, target = drawn(seed)
    oracle = TverskyLoss(
        to_onehot_y=True, softmax=True, alpha=alpha, beta=beta, batch=True, smooth_nr=1, smooth_dr=1
    )
    found = tversky(logits.softmax(1), target, alpha, beta)
    assert found.item() == pytest.approx(oracle(logits, target[:, None]).item(), abs=1e-5)


@given(st.integers(0, 10**6))
def test_monai_computes_the_same_dice_loss(seed: int) -> None:
    logits, target = drawn(seed)
    oracle = DiceLoss(
        to_onehot_y=True, softmax=True, squared_pred=True, batch=True, smooth_nr=1, smooth_dr=1
    )
    found = soft_dice(logits.softmax(1), target)
    assert found.item() == pytest.approx(oracle(logits, target[:, None]).item(), abs=1e-5)


@given(st.integers(0, 10**6))
def test_a_focal_loss_with_exponent_0_is_the_cross_entropy(seed: int) -> None:
    logits, target = drawn(seed)
    options = {"class_weights": (1, 2, 3)}
    plain = loss_of(logits, target, **options)
    loss = loss_of(logits, target, kind="dice-focal", focal_gamma=0, **options)
    assert loss.item() == pytest.approx(plain.item(), abs=1e-6)


def test_the_default_loss_is_the_authors_to_the_bit() -> None:
    logits, target = drawn(5)
    assert loss_of(logits, target).item() == dice_ce_loss(logits, target).item()
