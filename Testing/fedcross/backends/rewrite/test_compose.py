from collections.abc import Callable
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fedcross.backends.rewrite.compose import (
    JoinedConvolution,
    _saves_operations,
)

Triple = tuple[int, int, int]


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


def multiplications(work: Callable[[], Tensor]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() // 2  # PyTorch counts additions as well
