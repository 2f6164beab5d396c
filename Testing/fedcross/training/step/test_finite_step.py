"""A step whose loss or gradient is not finite changes nothing."""

import math

import pytest
import torch
from torch import nn

from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.step.finite_step import (
    EpochSums,
    FiniteStep,
    limit_gradient,
    step_on_device,
)
from fedcross.training.step.optimizer import make_optimizer, optimizer_tensors

SGD = OptimisationConfig(learning_rate=0.5, momentum=0.5)
ADAMW = OptimisationConfig(optimizer="adamw", weight_decay=0.1)


def one_weight(value: float = 1.0) -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def set_gradient(network: nn.Module, value: float) -> None:
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, value)


def step(
    network: nn.Module, optimizer: torch.optim.Optimizer, gradient: float, loss: float
) -> bool:
    before = FiniteStep(network, optimizer)
    set_gradient(network, gradient)
    return bool(before.finish(torch.tensor(loss), limit_gradient(network, None)))


def test_the_norm_is_that_of_all_gradients_together_and_is_limited() -> None:
    network = nn.Linear(3, 1)
    assert network.bias is not None
    network.weight.grad = torch.tensor([[2.0, 0.0, 4.0]])
    network.bias.grad = torch.tensor([4.0])
    assert limit_gradient(network, None).item() == limit_gradient(network, 6.5).item() == 6.0
    assert network.bias.grad.item() == 4.0
    assert limit_gradient(network, 3.0).item() == 6.0
    assert network.bias.grad.item() == pytest.approx(2.0, rel=1e-6)
    network.bias.grad = None
    network.weight.grad[0, 1] = math.nan
    assert math.isnan(limit_gradient(network, None).item())


@pytest.mark.parametrize(
    ("gradient", "loss"), [(math.nan, 1.0), (-math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)]
)
@pytest.mark.parametrize("settings", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_a_step_that_is_not_finite_leaves_weights_and_optimiser(
    settings: OptimisationConfig, gradient: float, loss: float
) -> None:
    network = one_weight()
    optimizer = make_optimizer(network, settings, {})
    assert step(network, optimizer, 2.0, 1.0)
    weight = network.weight.item()
    state = {key: tensor.clone() for key, tensor in optimizer_tensors(network, optimizer).items()}
    assert not step(network, optimizer, gradient, loss)
    assert network.weight.item() == weight != 1.0
    after = optimizer_tensors(network, optimizer)
    assert state.keys() == after.keys()
    assert all(torch.equal(state[key], after[key]) for key in state)


def test_the_next_finite_step_continues_with_the_momentum_of_the_last_one() -> None:
    # v = 2, w = 1 - 0.5 (2 + 0.5 * 2) = -0.5; skipped; v = 0.5 * 2 + 4 = 5, w = -0.5 - 0.5 (4 + 2.5).
    network = one_weight()
    optimizer = make_optimizer(network, SGD, {})
    for gradient in (2.0, math.nan, 4.0):
        step(network, optimizer, gradient, 1.0)
    assert network.weight.item() == -3.75


def test_running_statistics_are_restored_after_a_skipped_step() -> None:
    network = nn.BatchNorm1d(1)
    optimizer = make_optimizer(network, SGD, {})
    for value, made in ((3.0, True), (math.nan, False)):
        guarded = FiniteStep(network, optimizer)
        loss = network(torch.tensor([[value], [value]])).sum()
        set_gradient(network, 0.0)
        assert bool(guarded.finish(loss.detach(), limit_gradient(network, None))) is made
    assert network.running_mean is not None
    assert network.num_batches_tracked is not None
    assert network.running_mean.item() == pytest.approx(0.3)  # 0.9 * 0 + 0.1 * 3
    assert network.num_batches_tracked.item() == 1


@pytest.mark.parametrize("settings", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("first", [2.0, math.nan])
def test_a_fused_optimiser_skips_on_its_device_what_is_skipped_on_the_cpu(
    settings: OptimisationConfig, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fused implementations exist on the CPU, too; there a step is not decided by them.
    plain, network = one_weight(), one_weight()
    expected = make_optimizer(plain, settings, {})
    with monkeypatch.context() as patch:
        patch.setattr("fedcross.training.step.optimizer.is_fused", lambda _: True)
        fused = make_optimizer(network, settings, {})
    for gradient in (first, math.inf, 4.0, math.nan):
        step(plain, expected, gradient, 1.0)
        set_gradient(network, gradient)
        step_on_device(fused, torch.tensor(math.isfinite(gradient)))
    assert network.weight.item() == pytest.approx(plain.weight.item(), rel=1e-6)
    wanted, found = optimizer_tensors(plain, expected), optimizer_tensors(network, fused)
    assert wanted.keys() == found.keys()
    assert all(torch.allclose(wanted[key], found[key]) for key in wanted)


def test_the_sums_of_an_epoch_are_those_of_the_steps_that_were_made() -> None:
    sums = EpochSums.zero(torch.device("cpu"))
    for loss, patches, made in ((0.5, 4, True), (math.nan, 4, False), (2.0, 2, True)):
        sums.add(torch.tensor(loss), patches, torch.tensor(made))
    loss, patches, skipped, skipped_loss = sums.fetch()
    assert (loss, patches, skipped) == (6.0, 6, 1)
    assert math.isnan(skipped_loss)
