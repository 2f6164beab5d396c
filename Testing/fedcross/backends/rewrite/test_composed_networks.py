from copy import deepcopy
from typing import Any

import pytest
import torch
from monai.networks.blocks.dynunet_block import UnetUpBlock
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from fedcross.backends.rewrite.compose import (
    ComposedUNet,
    compose_upsampling,
)
from fedcross.backends.rewrite.fold import fold_normalisation
from fedcross.model.architecture import (
    Architecture,
    DynUNetArchitecture,
    SegResNetArchitecture,
    UNetArchitecture,
)
from randomised_networks import randomised_network

PATCHES = {  # (z, y, x); the lowest level has (3, 2, 1) voxels, or at least (3, 5, 4)
    "unet": (48, 32, 16),
    "dynunet": (12, 20, 16),
    "segresnet": (12, 20, 16),
}

U_NETS = [UNetArchitecture(base_channels=4, norm=norm) for norm in ("batch", "instance", "group")]
DYN_U_NETS = [
    DynUNetArchitecture(filters=(8, 16, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))),
    DynUNetArchitecture(filters=(8, 16, 16), strides=((1, 1, 1), (2, 2, 1), (2, 2, 2))),
    DynUNetArchitecture(
        filters=(6, 8, 12, 16),
        strides=((1, 1, 1), (2, 1, 2), (1, 2, 2), (2, 2, 1)),
        norm="batch",
    ),
    DynUNetArchitecture(
        filters=(8, 8, 16),
        strides=((1, 1, 1), (1, 1, 1), (2, 2, 2)),
        residual=True,
        norm="group",
    ),
]


def image_for(architecture: Architecture, images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, 1, *PATCHES[architecture.name], generator=generator).double()


def composed(network: nn.Module) -> nn.Module:
    """Return a composed copy of the network."""
    return compose_upsampling(fold_normalisation(deepcopy(network)))


@pytest.mark.parametrize("architecture", [*U_NETS, *DYN_U_NETS], ids=lambda a: f"{a.name}-{a.norm}")
def test_a_composed_network_gives_the_same_result(architecture: Architecture) -> None:
    network, x = randomised_network(architecture), image_for(architecture, images=2)
    expected = network(x)
    assert expected.std() > 0.1  # the outputs are not constant
    assert (composed(network)(x) - expected).abs().max() < 1e-10


@pytest.mark.parametrize("architecture", [*U_NETS, *DYN_U_NETS], ids=lambda a: f"{a.name}-{a.norm}")
def test_the_rounding_error_of_a_composed_network_in_float32_is_as_small(
    architecture: Architecture,
) -> None:
    network, x = randomised_network(architecture), image_for(architecture)
    truth = network(x)
    single = deepcopy(network).float()
    error, composed_error = ((net(x.float()) - truth).abs() for net in (single, composed(single)))
    assert composed_error.mean() < 1.5 * error.mean()
    assert composed_error.max() < 1e-5


@pytest.mark.parametrize("architecture", U_NETS, ids=lambda a: a.norm)
def test_a_composed_u_net_has_no_separate_transposed_convolution(
    architecture: Architecture,
) -> None:
    network = composed(randomised_network(architecture))
    assert isinstance(network, ComposedUNet)
    assert not any(isinstance(module, nn.ConvTranspose3d) for module in network.modules())


def test_a_composed_u_net_does_not_concatenate_skip_connections() -> None:
    network, x = randomised_network(U_NETS[0]), image_for(U_NETS[0])
    with Concatenations() as before:
        network(x)
    # The levels have 6, 12, 24 and 48 slices. The skip connection and the level below have equally
    # many channels.
    assert before.seen == [
        [(32, 6), (32, 6)],
        [(16, 12), (16, 12)],
        [(8, 24), (8, 24)],
        [(4, 48), (4, 48)],
    ]
    result = composed(network)
    with Concatenations() as after:
        result(x)
    # Only the channel of ones for the bias is concatenated, before upsampling.
    assert after.seen == [
        [(32, 3), (1, 3)],
        [(16, 6), (1, 6)],
        [(8, 12), (1, 12)],
        [(4, 24), (1, 24)],
    ]


@pytest.mark.parametrize("architecture", DYN_U_NETS)
def test_a_composed_dynunet_does_not_concatenate_skip_connections(
    architecture: Architecture,
) -> None:
    network, x = randomised_network(architecture), image_for(architecture)
    levels = len(architecture.filters)
    with Concatenations() as before:
        network(x)
    assert len(before.seen) == levels - 1
    result = composed(network)
    with Concatenations() as after:
        result(x)
    assert after.seen == []  # MONAI's transposed convolutions have no bias
    assert not up_blocks(result)


def test_a_pair_that_saves_no_multiplications_is_not_composed() -> None:
    # From 16 to 4 channels the separate pair needs 496 multiplications, the composed pair 512 (see
    # above). From 16 to 16 channels it is 16 * 16 + 27 * 16 * 16 = 7168 and 8 * 16 * 16 = 2048.
    architecture = DynUNetArchitecture(
        filters=(4, 16, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))
    )
    network, x = randomised_network(architecture), image_for(architecture)
    assert [up.conv_block.conv1.conv.out_channels for up in up_blocks(network)] == [16, 4]
    result = composed(network)
    assert [up.conv_block.conv1.conv.out_channels for up in up_blocks(result)] == [4]
    assert (result(x) - network(x)).abs().max() < 1e-10


def test_a_network_without_such_pairs_is_returned_unchanged() -> None:
    architecture = SegResNetArchitecture(blocks_down=(1, 1))
    network, x = deepcopy(randomised_network(architecture)), image_for(architecture)
    modules, expected = list(network.modules()), network(x)
    assert compose_upsampling(network) is network
    assert [id(module) for module in network.modules()] == [id(module) for module in modules]
    assert torch.equal(network(x), expected)


@pytest.mark.parametrize("architecture", [U_NETS[0], DYN_U_NETS[1]], ids=lambda a: a.name)
def test_a_composed_network_works_with_channels_last_and_in_bf16(
    architecture: Architecture,
) -> None:
    network, x = deepcopy(randomised_network(architecture)).float(), image_for(architecture).float()
    expected = network(x)
    channels_last = composed(network).to(memory_format=torch.channels_last_3d)
    x = x.to(memory_format=torch.channels_last_3d)
    assert (channels_last(x) - expected).abs().max() < 1e-5
    with torch.autocast("cpu", torch.bfloat16):
        separate, composite = network(x), channels_last(x)
    assert composite.dtype == torch.bfloat16
    error, composed_error = ((logits - expected).std() for logits in (separate, composite))
    assert 1e-3 * expected.std() < composed_error < 1.5 * error  # bf16 rounds to 8 bits
    assert composed_error < 2**-5 * expected.std()


class Concatenations(TorchDispatchMode):
    """Records all concatenations: channels and slices of each tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[tuple[int, int]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if func is torch.ops.aten.cat.default:
            self.seen.append([tuple(tensor.shape[1:3]) for tensor in args[0]])
        return func(*args, **(kwargs or {}))


def up_blocks(network: nn.Module) -> list[UnetUpBlock]:
    return [module for module in network.modules() if isinstance(module, UnetUpBlock)]
