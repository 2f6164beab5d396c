import math

import pytest
import torch

from fedcross.train.step.losses import dice_ce_loss


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


def test_the_loss_does_not_separate_an_undrawn_structure_from_the_background() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 3, 2, 3, 4, generator=generator).requires_grad_()
    target = torch.randint(0, 2, (1, 2, 3, 4), generator=generator)
    dice_ce_loss(logits, target, [(2,)]).backward()
    # Moving probability between the background and this structure does not change the loss: their
    # gradients have the ratio of their probabilities.
    background, _, unknown = logits.softmax(1).detach()[0]
    assert logits.grad is not None
    assert torch.allclose(logits.grad[0, 0] * unknown, logits.grad[0, 2] * background, atol=1e-8)
    assert logits.grad.abs().max() > 1e-3


def test_undrawn_structures_are_handled_for_each_sample() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 2, 3, 4, generator=generator)
    target = torch.randint(0, 2, (2, 2, 3, 4), generator=generator)
    known = dice_ce_loss(logits, target)
    assert dice_ce_loss(logits, target, [(), ()]).item() == known.item()
    mixed = dice_ce_loss(logits, target, [(), (2,)])
    merged = logits.clone()
    merged[1, 0] = torch.logsumexp(logits[1, [0, 2]], 0)
    merged[1, 2] = -1e4
    assert mixed.item() == pytest.approx(dice_ce_loss(merged, target).item(), rel=1e-5)
    assert mixed.item() != known.item()
