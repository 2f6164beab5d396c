import math

import pytest
import torch
from torch import nn

from fedcross.strategies.method import Method
from fedcross.strategies.registry import make_method
from fedcross.train.step.drift_penalty import DriftPenalty, add_proximal_gradient
from fedcross.train.step.losses import distillation_loss


def test_the_proximal_gradient_is_mu_times_the_way_gone() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    weight.grad = torch.tensor([0.5, 0.5])
    add_proximal_gradient([weight], [torch.tensor([0.0, 1.0])], mu=0.1)
    assert weight.grad.tolist() == pytest.approx([0.5 + 0.1 * 1.0, 0.5 - 0.1 * 3.0])
    assert weight.tolist() == [1.0, -2.0]


def test_the_proximal_gradient_is_that_of_the_squared_distance() -> None:
    came, mu = torch.randn(7, generator=torch.Generator().manual_seed(1)), 0.3
    weight = nn.Parameter(came * 2 + 1)
    (mu / 2 * (weight - came).square().sum()).backward()
    expected = weight.grad.clone()
    weight.grad.zero_()
    add_proximal_gradient([weight], [came], mu)
    assert torch.allclose(weight.grad, expected)


def test_what_has_no_gradient_is_left_alone() -> None:
    frozen = nn.Parameter(torch.ones(1))
    add_proximal_gradient([frozen], [torch.zeros(1)], 1.0)
    assert frozen.grad is None


def test_distillation_costs_nothing_between_equals_and_a_hand_computed_amount_otherwise() -> None:
    # One voxel, two classes, T = 2: teacher softmax(ln 3, 0) = (3/4, 1/4), student (1/2, 1/2);
    # T^2 KL = 4 (3/4 ln(3/2) + 1/4 ln(1/2)).
    teacher = torch.tensor([2 * math.log(3), 0.0]).reshape(1, 2, 1, 1, 1)
    student = torch.zeros(1, 2, 1, 1, 1)
    assert distillation_loss(teacher, teacher, 2.0).item() == 0
    expected = 4 * (0.75 * 0.4054651 - 0.25 * 0.6931472)
    assert distillation_loss(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_distillation_is_a_mean_over_voxels_so_that_the_patch_size_does_not_matter() -> None:
    student = torch.zeros(2, 2, 3, 4, 5)
    teacher = torch.zeros(2, 2, 3, 4, 5)
    teacher[:, 0] = 1.0
    one = distillation_loss(student[:1, :, :1, :1, :1], teacher[:1, :, :1, :1, :1], 1.0)
    assert distillation_loss(student, teacher, 1.0).item() == pytest.approx(one.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (make_method(kind="fedavg"), 0.0),
        (make_method(kind="fedprox"), 0.01),
        (make_method(kind="fedprox", mu=0.5), 0.5),
        (make_method(kind="fedprox", mu=0.0), 0.0),
        (make_method(kind="fedcross-ens"), 0.0),
        (make_method(kind="fedcross", mu=0.1), 0.1),
    ],
)
def test_only_fedprox_has_a_proximal_term_unless_asked(method: Method, expected: float) -> None:
    assert method.proximal_weight(rounds_done=1) == expected


@pytest.mark.parametrize(("kind", "pulls"), [("fedprox", True), ("fedcross", False)])
def test_an_untrained_member_has_nothing_to_forget_but_fedprox_pulls_from_the_first_visit(
    kind: str, pulls: bool
) -> None:
    network = nn.Conv3d(1, 2, 1)
    pull = DriftPenalty(network, make_method(kind=kind, mu=1.0), rounds_done=0)
    with torch.no_grad():
        network.weight += 1
    network.weight.grad = torch.zeros_like(network.weight)
    pull.add_gradient()
    assert bool(network.weight.grad.abs().sum() > 0) is pulls


def test_the_teacher_is_the_network_as_it_came() -> None:
    network = nn.Conv3d(1, 2, 1)
    pull = DriftPenalty(network, make_method(kind="fedcross", distillation=3.0, temperature=1.0), 1)
    images = torch.ones(1, 1, 2, 2, 2)
    came = network(images).detach()
    with torch.no_grad():
        network.bias[0] += 1
    logits = network(images)
    cost = pull.loss(images, logits)
    assert isinstance(cost, torch.Tensor)
    assert cost.item() == pytest.approx(3 * distillation_loss(logits, came, 1.0).item())
    cost.backward()
    assert network.bias.grad is not None
    assert (
        DriftPenalty(network, make_method(kind="fedcross", distillation=3.0), 0).loss(images, came)
        == 0
    )
