from collections.abc import Callable
from copy import deepcopy
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.blocks.dynunet_block import UnetUpBlock
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from fedcross.backends.rewrite.compose import (
    ComposedUNet,
    JoinedConvolution,
    _saves_operations,
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

Triple = tuple[int, int, int]

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


def along_x(weights: list[float]) -> Tensor:
    """Return a kernel (1, 1, 1, 1, n) along x, from one channel to one channel."""
    return torch.tensor(weights).double()[None, None, None, None]


def small_join() -> JoinedConvolution:
    """Return a join along x: upsampling by [10, 1] with bias 100, then the kernel [1, 2, 3].

    The skip connection is multiplied by 5000 and shifted by one voxel to the right.
    """
    up = nn.ConvTranspose3d(1, 1, (1, 1, 2), stride=(1, 1, 2)).double()
    conv = nn.Conv3d(2, 1, (1, 1, 3), padding=(0, 0, 1)).double()
    with torch.no_grad():
        up.weight.copy_(along_x([10, 1]))
        up.bias.fill_(100)
        conv.weight.copy_(torch.cat([along_x([5000, 0, 0]), along_x([1, 2, 3])], dim=1))
        conv.bias.fill_(0.5)
    return JoinedConvolution(up, conv, skip_first=True)


def test_the_composed_kernel_equals_hand_computed_numbers() -> None:
    # Upsampling turns a voxel v into 10 v at 0 and v at 1. The kernel [1, 2, 3] distributes each of
    # them with weight 3 to its left neighbour, 2 to itself, 1 to its right neighbour. So v gets the
    # weights
    #   at -1: 10 * 3   at 0: 10 * 2 + 1 * 3   at 1: 10 * 1 + 1 * 2   at 2: 1 * 1
    # The bias of 100 at 0 and at 1 gives 100 * 3, 100 * (2 + 3), 100 * (1 + 2), 100 * 1.
    join = small_join()
    assert join.low_weight[0].flatten().tolist() == [30, 23, 12, 1]
    assert join.low_weight[1].flatten().tolist() == [300, 500, 300, 100]
    assert join.skip_weight.flatten().tolist() == [5000, 0, 0]


def test_the_bias_of_the_transposed_convolution_is_not_added_to_the_padding() -> None:
    # Upsampled, [1, 2] is [10, 1, 20, 2] + 100 = [110, 101, 120, 102]. The kernel [1, 2, 3] gives
    #   2 * 110 + 3 * 101, 110 + 2 * 101 + 3 * 120, 101 + 2 * 120 + 3 * 102, 120 + 2 * 102
    # because the padding is 0, not 100. The skip connection [1, 2, 3, 4] adds 5000 * [0, 1, 2, 3].
    low = torch.tensor([1, 2]).double()[None, None, None, None]
    skip = torch.tensor([1, 2, 3, 4]).double()[None, None, None, None]
    join = small_join()
    assert join.upsample(low).flatten().tolist() == [523, 672, 647, 324]
    assert join(skip, low).flatten().tolist() == [523.5, 5672.5, 10647.5, 15324.5]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    stride=st.sampled_from([(1, 2, 2), (2, 2, 2), (2, 1, 2), (1, 1, 1)]),
    kernel=st.sampled_from([(3, 3, 3), (1, 1, 1), (1, 3, 3), (3, 1, 5)]),
    sides=st.tuples(*[st.integers(1, 5)] * 3),
    skipped=st.integers(1, 3),
    low=st.integers(1, 3),
    between=st.integers(1, 3),
    images=st.integers(1, 2),
    biases=st.tuples(st.booleans(), st.booleans()),
    skip_first=st.booleans(),
)
def test_the_composed_convolution_equals_the_two_convolutions(
    seed: int,
    stride: Triple,
    kernel: Triple,
    sides: Triple,
    skipped: int,
    low: int,
    between: int,
    images: int,
    biases: tuple[bool, bool],
    skip_first: bool,
) -> None:
    torch.manual_seed(seed)
    up = nn.ConvTranspose3d(low, between, stride, stride=stride, bias=biases[0])
    padding = tuple(side // 2 for side in kernel)
    conv = nn.Conv3d(skipped + between, 2, kernel, padding=padding, bias=biases[1])
    below = torch.randn(images, low, *sides).double()
    beside = torch.randn(
        images, skipped, *(side * s for side, s in zip(sides, stride, strict=True))
    ).double()
    with torch.no_grad():
        enlarged = up.double()(below)
        both = [beside, enlarged] if skip_first else [enlarged, beside]
        expected = conv.double()(torch.cat(both, dim=1))
        found = JoinedConvolution(up, conv, skip_first=skip_first)(beside, below)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-10


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


# (channels of the level below, channels between and of the result, stride, kernel, multiplications for
# a voxel of the result if computed separately, multiplications if composed).
# Separately: one tap of the transposed convolution, then all taps of the convolution.
# Composed: of the stride + kernel - 1 taps along an axis, every stride-th contributes to a voxel.
PAIRS = [
    (16, 4, (2, 2, 2), (3, 3, 3), 16 * 4 + 27 * 4 * 4, 2 * 2 * 2 * 16 * 4),  # 496, 512
    (15, 4, (2, 2, 2), (3, 3, 3), 15 * 4 + 27 * 4 * 4, 2 * 2 * 2 * 15 * 4),  # 492, 480
    (5, 2, (1, 2, 2), (3, 3, 3), 5 * 2 + 27 * 2 * 2, 3 * 2 * 2 * 5 * 2),  # 118, 120
    (4, 2, (1, 2, 2), (3, 3, 3), 4 * 2 + 27 * 2 * 2, 3 * 2 * 2 * 4 * 2),  # 116, 96
    (2, 2, (1, 1, 1), (3, 3, 3), 2 * 2 + 27 * 2 * 2, 3 * 3 * 3 * 2 * 2),  # 112, 108
    (3, 2, (1, 1, 1), (3, 3, 3), 3 * 2 + 27 * 2 * 2, 3 * 3 * 3 * 3 * 2),  # 114, 162
    (6, 2, (2, 2, 2), (1, 3, 3), 6 * 2 + 9 * 2 * 2, 1 * 2 * 2 * 6 * 2),  # 48, 48
    (5, 2, (2, 2, 2), (1, 3, 3), 5 * 2 + 9 * 2 * 2, 1 * 2 * 2 * 5 * 2),  # 46, 40
]


@pytest.mark.parametrize(("low", "between", "stride", "kernel", "separate", "composite"), PAIRS)
def test_a_pair_is_composed_if_that_saves_multiplications(
    low: int, between: int, stride: Triple, kernel: Triple, separate: int, composite: int
) -> None:
    up = nn.ConvTranspose3d(low, between, stride, stride=stride, bias=False)
    conv = nn.Conv3d(2 * between, between, kernel, padding=tuple(side // 2 for side in kernel))
    assert _saves_operations(up, conv) == (composite < separate)


@pytest.mark.parametrize(("low", "between", "stride", "kernel", "separate", "composite"), PAIRS)
def test_the_numbers_of_multiplications_equal_pytorchs_count(
    low: int, between: int, stride: Triple, kernel: Triple, separate: int, composite: int
) -> None:
    up = nn.ConvTranspose3d(low, between, stride, stride=stride, bias=False)
    padding = tuple(side // 2 for side in kernel)
    conv = nn.Conv3d(2 * between, between, kernel, padding=padding)
    conv_of_up = nn.Conv3d(between, between, kernel, padding=padding)
    x = torch.ones(1, low, 4, 4, 4)
    voxels = prod(4 * s for s in stride)
    assert multiplications(lambda: conv_of_up(up(x))) == separate * voxels
    join = JoinedConvolution(up, conv, skip_first=False)
    assert multiplications(lambda: join.upsample(x)) == composite * voxels


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


def multiplications(work: Callable[[], Tensor]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() // 2  # PyTorch counts additions as well
