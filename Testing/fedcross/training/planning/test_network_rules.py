"""The rules for the network, on numbers derived by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.model.architecture import (
    CustomArchitecture,
    SegResNetArchitecture,
    UNetArchitecture,
)
from fedcross.model.plugin import PluginReference
from fedcross.training.planning.network_rules import (
    choose_width,
    design_dynunet,
    memory_bytes,
    needs_dynunet,
    step_voxels,
)


@pytest.mark.parametrize(
    ("gb", "width"), [(0.2, 8), (1.9, 8), (2, 16), (3.9, 16), (4, 32), (80, 32)]
)
def test_the_width_follows_the_memory(gb: float, width: int) -> None:
    assert choose_width(gb, (512, 512, 100), 2) == width


def test_small_cases_get_a_wide_network_with_little_memory() -> None:
    # 0.6 GB at 120 bytes hold 156,250 voxels with 32 channels, 312,500 with 16.
    assert choose_width(0.6, (25, 36, 27), 2) == 32  # 2 of 32 x 48 x 32: 98,304
    assert choose_width(0.6, (25, 36, 27), 4) == 16  # 4 of them: 196,608
    assert choose_width(0.6, (35, 51, 37), 2) == 16  # 2 of 48 x 64 x 48: 294,912
    assert choose_width(0.6, (35, 65, 37), 2) == 8  # 2 of 48 x 80 x 48: 368,640


def test_the_memory_holds_as_many_voxels_as_it_has_bytes_for() -> None:
    # 0.96 GB at 120 bytes x 8 channels per voxel.
    assert step_voxels(0.96, 8) == 1_000_000


def test_the_unet_is_used_unless_an_axis_would_grow_by_more_than_half() -> None:
    assert not needs_dynunet((100, 100, 11))  # to 16: 1.45 times
    assert needs_dynunet((100, 100, 10))  # 1.6 times


def test_an_axis_is_halved_while_four_voxels_remain_and_spacings_are_alike() -> None:
    # z has 10 voxels of 10 mm. Levels at 1.4 and 2.8 mm leave it alone: more than twice as coarse. At
    # 5.6 mm it is halved to 5 voxels, and then it is too short.
    network = design_dynunet((256, 256, 10), (1.4, 1.4, 10.0), 32, 3)
    assert network.strides == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2), (2, 2, 1))
    assert network.reduction == (16, 16, 2)
    assert network.filters == (32, 64, 128, 256, 320)
    assert network.classes == 3


def test_a_tiny_volume_gets_the_fewest_levels() -> None:
    # 12 x 14 x 10 voxels are halved once to 6 x 7 x 5; three levels are the fewest.
    network = design_dynunet((12, 14, 10), (3, 3, 3), 8, 2)
    assert network.strides == ((1, 1, 1), (2, 2, 2), (1, 1, 1))


@given(st.tuples(*[st.floats(4, 500)] * 3), st.tuples(*[st.floats(0.2, 10)] * 3))
def test_at_the_lowest_level_four_voxels_remain_along_every_axis(size, spacing_mm) -> None:
    network = design_dynunet(size, spacing_mm, 8, 2)
    assert all(side / by >= 4 for side, by in zip(size, network.reduction, strict=True))


def test_the_first_level_counts_for_the_memory() -> None:
    assert memory_bytes(UNetArchitecture(base_channels=16)) == (120, 16)
    assert memory_bytes(SegResNetArchitecture(init_filters=24)) == (160, 24)
    plugin = PluginReference(package="a-package", entry="net")
    assert memory_bytes(CustomArchitecture(plugin=plugin)) == (160, 32)
    assert memory_bytes(design_dynunet((64, 64, 64), (1, 1, 1), 8, 2)) == (160, 8)
