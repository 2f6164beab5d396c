from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from fedcross.backends.rewrite import winograd
from fedcross.backends.rewrite.compose import ComposedUNet, compose_upsampling
from fedcross.backends.rewrite.fold import fold_normalisation
from fedcross.backends.rewrite.winograd import PHASES, WinogradConvolution, interleave
from fedcross.backends.rewrite.winograd_unet import (
    WinogradUNet,
    _apply_layers,
    _FirstConvolution,
    _split_into_phases,
)
from fedcross.model.architecture import UNetArchitecture
from randomised_networks import randomised_network

depths = st.sampled_from([4, 8, 12, 16])
seeds = st.integers(0, 2**20)


def u_net(norm: str, classes: int = 2) -> nn.Module:
    return randomised_network(UNetArchitecture(base_channels=4, norm=norm, classes=classes))


def in_phases(network: nn.Module) -> WinogradUNet:
    """Return a copy of the network in phases."""
    composed = compose_upsampling(fold_normalisation(deepcopy(network)))
    assert isinstance(composed, ComposedUNet)
    return WinogradUNet(composed)


def phases_of(x: Tensor) -> list[Tensor]:
    """Return the four phases of (N, C, D, H, W), each (N, C, D/4, H, W)."""
    return [x[:, :, phase::PHASES] for phase in range(PHASES)]


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


def column(values: list[float]) -> Tensor:
    """Return a column of n slices of one voxel, (1, 1, n, 1, 1)."""
    return torch.tensor(values, dtype=torch.float64)[None, None, :, None, None]


def along_z(weights: list[float]) -> Tensor:
    """Return a kernel (1, 1, 3, 3, 3) whose weights are 0 except in the middle of the plane."""
    return functional.pad(column(weights), (1, 1, 1, 1))


def numbers_in(tensor: Tensor) -> list[float]:
    return [round(value, 10) for value in tensor.flatten().tolist()]


@pytest.mark.parametrize("result", range(4))
def test_the_transforms_give_each_result_its_three_products(result: int) -> None:
    # Result r is slice r times tap 0, plus slice r + 1 times tap 1, plus slice r + 2 times tap 2.
    unit = list(torch.eye(6, dtype=torch.float64))
    slice_transform = torch.stack(winograd._combine_slices(unit))
    product_transform = torch.stack(winograd._combine_products(unit))
    kernel_transform = torch.tensor(winograd._KERNEL_TRANSFORM, dtype=torch.float64)
    pairs = torch.einsum(
        "j,js,jt->st", product_transform[result], slice_transform, kernel_transform
    )
    expected = torch.zeros(6, 3).double()
    for tap in range(3):
        expected[result + tap, tap] = 1
    assert (pairs - expected).abs().max() < 1e-14


def test_four_slices_equal_hand_computed_numbers() -> None:
    # Weights: 1 for the slice before, 10 for the slice itself, 100 for the slice after; zero padding.
    conv = WinogradConvolution(along_z([1, 10, 100]), None)
    found = interleave(conv(phases_of(column([1, 2, 0, 3]))))
    assert numbers_in(found) == [
        10 * 1 + 100 * 2,
        1 * 1 + 10 * 2,
        1 * 2 + 100 * 3,
        10 * 3,
    ]


def test_neighbouring_groups_of_four_slices_and_the_bias_equal_hand_computed_numbers() -> None:
    conv = WinogradConvolution(along_z([1, 10, 100]), torch.tensor([0.5]).double())
    found = interleave(conv(phases_of(column([1, 2, 0, 3, 4, 0, 0, 5]))))
    # The fourth result depends on the fifth slice, and the fifth result on the fourth slice.
    assert numbers_in(found) == [210.5, 21.5, 302.5, 430.5, 43.5, 4.5, 500.5, 50.5]


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    depth=depths,
    plane=st.tuples(*[st.sampled_from([1, 2, 3, 5, 7])] * 2),
    channels=st.tuples(*[st.integers(1, 4)] * 2),
    images=st.integers(1, 2),
    bias=st.booleans(),
)
def test_a_winograd_convolution_equals_the_direct_convolution(
    seed: int,
    depth: int,
    plane: tuple[int, int],
    channels: tuple[int, int],
    images: int,
    bias: bool,
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv3d(*channels, 3, padding=1, bias=bias).double().requires_grad_(False)
    x = torch.randn(images, channels[0], depth, *plane).double()
    found = WinogradConvolution(conv.weight, conv.bias)(phases_of(x))
    assert [phase.shape[2] for phase in found] == [depth // 4] * 4
    assert (interleave(found) - conv(x)).abs().max() < 1e-10


def test_a_winograd_convolution_needs_half_of_the_multiplications() -> None:
    conv, x = nn.Conv3d(3, 5, 3, padding=1), torch.ones(1, 3, 8, 4, 4)
    with FlopCounterMode(display=False) as direct, torch.no_grad():
        conv(x)
    rewritten = WinogradConvolution(conv.weight, conv.bias)
    with FlopCounterMode(display=False) as in_phases, torch.no_grad():
        rewritten(phases_of(x))
    # For each pair of channels: 27 multiplications a voxel, or 6 * 9 for 4 voxels. PyTorch counts
    # additions as well.
    assert direct.get_total_flops() == 2 * 27 * (8 * 4 * 4) * (3 * 5)
    assert in_phases.get_total_flops() == 2 * 6 * 9 * (2 * 4 * 4) * (3 * 5)


@pytest.mark.parametrize("channels", [1, 8, 32])
def test_a_winograd_convolution_loses_less_than_one_digit_of_float32(channels: int) -> None:
    torch.manual_seed(channels)
    conv = nn.Conv3d(channels, 8, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, channels, 16, 12, 12)
    truth = deepcopy(conv).double()(x.double())
    direct = conv(x) - truth
    found = interleave(WinogradConvolution(conv.weight, conv.bias)(phases_of(x))) - truth
    assert found.std() < 6 * direct.std()  # measured: 3 times, for 1 to 128 channels
    assert found.abs().max() < 2e-5 * truth.std()


@settings(max_examples=30, deadline=None)
@given(fours=st.integers(1, 6), seed=seeds)
def test_interleaving_phases_restores_the_volume(fours: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.randn(2, 3, PHASES * fours, 3, 2)
    parts = phases_of(x)
    for phase, part in enumerate(parts):
        for index in range(fours):
            assert torch.equal(part[:, :, index], x[:, :, 4 * index + phase])
    assert torch.equal(interleave(parts), x)
    for part, again in zip(parts, phases_of(interleave(parts)), strict=True):
        assert torch.equal(part, again)


@settings(max_examples=30, deadline=None)
@given(fours=st.integers(1, 6), seed=seeds)
def test_even_and_odd_slices_can_be_interleaved_and_split_into_phases(
    fours: int, seed: int
) -> None:
    torch.manual_seed(seed)
    x = torch.randn(2, 3, PHASES * fours, 3, 2)
    halves = [x[:, :, ::2], x[:, :, 1::2]]
    assert torch.equal(interleave(halves), x)
    for found, expected in zip(_split_into_phases(halves), phases_of(x), strict=True):
        assert torch.equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, depth=depths)
def test_the_first_convolution_equals_the_direct_convolution(seed: int, depth: int) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv3d(1, 3, 3, padding=1).double().requires_grad_(False)
    x = torch.randn(2, 1, depth, 3, 5).double()
    assert (interleave(_FirstConvolution(conv)(x)) - conv(x)).abs().max() < 1e-10


@pytest.mark.parametrize("norm", [nn.InstanceNorm3d(2), nn.GroupNorm(2, 2), nn.GroupNorm(1, 2)])
def test_normalisation_statistics_include_all_phases(norm: nn.Module) -> None:
    # Slices 0, 1, 2, 3, 0, 1, 2, 3: each phase is constant, so its own normalisation would give 0.
    # All slices have the mean 3/2 and the variance (9 + 1 + 1 + 9) / 4 / 4 = 5/4.
    x = torch.arange(4).repeat(2)[None, None, :, None, None].expand(1, 2, 8, 3, 3).double()
    found = interleave(_apply_layers(nn.ModuleList([norm.double()]), phases_of(x)))
    expected = (x - 1.5) / 1.25**0.5
    assert (found - expected).abs().max() < 1e-4  # normalisations add 1e-5 to the variance


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize(
    ("patch", "classes", "images"),
    [
        ((16, 32, 48), 2, 2),  # the third level has one slice in each phase
        ((48, 32, 16), 3, 1),  # the fourth level has 6 slices, which is no multiple of 4
        ((32, 16, 32), 3, 1),
        ((80, 16, 16), 2, 1),
    ],
)
def test_the_u_net_in_phases_gives_the_same_result(
    norm: str, patch: tuple[int, int, int], classes: int, images: int
) -> None:
    network, x = u_net(norm, classes), image(images, 1, *patch)
    expected = network(x)
    found = in_phases(network)(x)
    assert found.shape == (images, classes, *patch)
    assert expected.std() > 0.1  # the outputs are not constant
    assert (found - expected).abs().max() < 1e-9


def test_three_levels_use_winograd_convolutions() -> None:
    network = in_phases(u_net("batch"))
    kinds = [type(module) for module in network.modules()]
    # Downwards there are two convolutions a level, except for the very first convolution. Upwards there
    # is one for the skip connection and one after it.
    assert kinds.count(WinogradConvolution) == (2 * 3 - 1) + 2 * 3
    whole = [m for m in network.modules() if getattr(m, "kernel_size", None) == (3, 3, 3)]
    # Direct convolutions: two of the fourth level, two of the fifth, and one after the first join.
    assert len(whole) == 2 + 2 + 1


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_an_image_with_different_phases_is_normalised_as_a_whole(norm: str) -> None:
    network, x = u_net(norm), image(1, 1, 32, 32, 32)
    brightness = torch.tensor([0, 5, -3, 20]).repeat(8)
    x += brightness[None, None, :, None, None]
    assert (in_phases(network)(x) - network(x)).abs().max() < 1e-9


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_the_rounding_error_of_the_u_net_in_phases_is_small(norm: str) -> None:
    network, x = u_net(norm), image(1, 1, 48, 32, 32)
    truth = network(x)
    single = deepcopy(network).float()
    direct, found = (net(x.float()) - truth for net in (single, in_phases(single)))
    assert found.std() < 3 * direct.std()  # measured: 1.7 times
    assert found.abs().max() < 1e-5 * truth.abs().max()
