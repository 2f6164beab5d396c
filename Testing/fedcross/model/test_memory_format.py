import pytest
import torch

from fedcross.model.architecture import Norm, UNetArchitecture
from fedcross.model.memory_format import choose_memory_format
from fedcross.model.networks import build_network, initialise

CPU, GPU = torch.device("cpu"), torch.device("cuda")
NORMS: tuple[Norm, ...] = ("batch", "instance", "group")


def network(norm: Norm) -> torch.nn.Module:
    made = build_network(UNetArchitecture(base_channels=16, norm=norm))
    initialise(made, torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize(
    ("norm", "training"),
    [("batch", False), ("instance", False), ("instance", True), ("group", False), ("group", True)],
)
def test_a_network_is_exact_on_patches_that_are_almost_constant(norm: Norm, training: bool) -> None:
    patches = 10 + 0.01 * torch.randn(2, 1, 16, 48, 48, generator=torch.Generator().manual_seed(1))
    made = network(norm).train(training)
    with torch.no_grad():
        expected = made.double()(patches.double()).softmax(1)
        made.float().to(memory_format=choose_memory_format(made, CPU))
        got = made(patches).softmax(1)
    assert (got - expected).abs().max() < 2e-5


@pytest.mark.parametrize("norm", NORMS)
def test_a_gpu_uses_channels_last_with_every_normalisation(norm: Norm) -> None:
    assert choose_memory_format(network(norm), GPU) == torch.channels_last_3d


class View(torch.nn.Module):
    """A module of another package, which needs its input in the usual format."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), -1)


def test_code_of_other_packages_gets_the_usual_format() -> None:
    convolution = torch.nn.Conv3d(1, 2, 3)
    assert choose_memory_format(torch.nn.Sequential(convolution), CPU) == torch.channels_last_3d
    for device in (CPU, GPU):
        made = torch.nn.Sequential(convolution, View())
        assert choose_memory_format(made, device) == torch.contiguous_format


def test_channels_stay_last_through_the_whole_network() -> None:
    made = network("batch").eval()
    made.to(memory_format=choose_memory_format(made, CPU))
    # Records the input of the last convolution. Its output would not do, because with one thread
    # PyTorch computes a 1x1x1 convolution differently.
    entering: list[torch.Tensor] = []
    made.outconv.register_forward_pre_hook(lambda _, inputs: entering.extend(inputs))
    with torch.no_grad():
        made(torch.zeros(2, 1, 16, 16, 16))
    assert entering[0].is_contiguous(memory_format=torch.channels_last_3d)
