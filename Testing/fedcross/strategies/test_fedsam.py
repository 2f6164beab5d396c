"""FedSAM: the gradient is taken at displaced weights."""

import pytest
import torch
from torch import nn

from fedcross.strategies.registry import make_method


def test_the_gradient_is_that_at_rho_along_the_normalised_gradient() -> None:
    # loss = w^2 / 2 summed, so the gradient at w is w; w = (3, 4), norm 5, rho 0.5: w + 0.5 w / 5.
    network = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[3.0, 4.0]]))

    def evaluate() -> torch.Tensor:
        network.zero_grad()
        loss = network.weight.square().sum() / 2
        loss.backward()
        return loss.detach()

    loss = make_method("fedsam", rho=0.5).compute_gradient(network, evaluate)
    assert loss.item() == pytest.approx(12.5)
    assert network.weight.grad is not None
    torch.testing.assert_close(network.weight.grad, torch.tensor([[3.3, 4.4]]))
    assert torch.equal(network.weight.detach(), torch.tensor([[3.0, 4.0]]))


def test_running_statistics_are_those_of_the_present_weights() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2))
    images = torch.randn(2, 1, 3, 3, 3, generator=torch.Generator().manual_seed(1))

    def evaluate() -> torch.Tensor:
        network.zero_grad()
        loss = network(images).square().mean() + network[0].weight.square().sum()
        loss.backward()
        return loss.detach()

    make_method("fedsam").compute_gradient(network, evaluate)
    counted = network[1].num_batches_tracked
    assert isinstance(counted, torch.Tensor)
    assert counted.item() == 1
