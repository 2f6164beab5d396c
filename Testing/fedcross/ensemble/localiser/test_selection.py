import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcross.ensemble.localiser.cells import Cells
from fedcross.ensemble.localiser.selection import KEPT_WEIGHT, select_patches
from fedcross.patches.placement import Start, gaussian_profile, gaussian_weight, plan_patches
from fedcross.patches.sliding_window import blend_patches, stream_patches

Shape = tuple[int, int, int]

parts = given(
    shape=st.tuples(*[st.integers(3, 26)] * 3),
    patch=st.tuples(st.integers(2, 8), st.integers(4, 10), st.integers(4, 10)),
    overlap=st.floats(0, 0.6),
    side=st.tuples(*[st.integers(1, 3)] * 3),
    seed=st.integers(0, 999),
)


def some_part(shape: Shape, side: Shape, seed: int) -> Cells:
    """Return a few random boxes of cells."""
    rng = np.random.default_rng(seed)
    part = Cells.empty(shape, side)
    for _ in range(rng.integers(1, 4)):
        low = [rng.integers(0, n) for n in part.mask.shape]
        part.mask[tuple(slice(n, n + rng.integers(1, 5)) for n in low)] = True
    return part


def everywhere(shape: Shape, side: Shape) -> Cells:
    part = Cells.empty(shape, side)
    part.mask[:] = True
    return part


def weights(shape: Shape, patch: Shape, starts: list[Start]) -> NDArray[np.float64]:
    """Return the total weight of some patches at each voxel."""
    total = np.zeros([n + 2 * p for n, p in zip(shape, patch, strict=True)])
    for start in starts:
        box = (slice(n + p, n + 2 * p) for n, p in zip(start, patch, strict=True))
        total[tuple(box)] += gaussian_weight(patch)
    return total[tuple(slice(p, p + n) for n, p in zip(shape, patch, strict=True))]


@settings(max_examples=150, deadline=None)
@parts
def test_every_voxel_of_the_part_keeps_half_of_its_weight(
    shape: Shape, patch: Shape, overlap: float, side: Shape, seed: int
) -> None:
    starts, part = plan_patches(shape, patch, overlap), some_part(shape, side, seed)
    kept = select_patches(starts, patch, part)
    inside = part.voxel_mask(slice(0, shape[0]))
    total, kept_weight = weights(shape, patch, starts), weights(shape, patch, kept)
    assert (kept_weight[inside] >= (KEPT_WEIGHT - 1e-6) * total[inside]).all()
    assert kept == [start for start in starts if start in kept]


@settings(max_examples=50, deadline=None)
@given(
    steps=st.tuples(*[st.integers(0, 3)] * 3),
    patch=st.tuples(*[st.sampled_from([4, 6, 8, 10])] * 3),
    side=st.tuples(*[st.integers(1, 3)] * 3),
)
def test_every_patch_is_selected_for_the_whole_volume(
    steps: Shape, patch: Shape, side: Shape
) -> None:
    shape = tuple(p + n * p // 2 for n, p in zip(steps, patch, strict=True))
    starts = plan_patches(shape, patch, 0.5)
    assert select_patches(starts, patch, everywhere(shape, side)) == starts


def test_no_patch_is_selected_for_an_empty_part() -> None:
    starts = plan_patches((16, 16, 16), (8, 8, 8), 0.5)
    assert select_patches(starts, (8, 8, 8), Cells.empty((16, 16, 16), (2, 2, 2))) == []


def along_x(*voxels: int) -> list[int]:
    """Return which of the patches at 0, 12 and 24 are selected for some of 40 voxels along x."""
    part = Cells.empty((1, 1, 40), (1, 1, 1))
    part.mask[0, 0, list(voxels)] = True
    starts = plan_patches((1, 1, 40), (1, 1, 16), 0.25)
    assert [x for _, _, x in starts] == [0, 12, 24]
    return [x for _, _, x in select_patches(starts, (1, 1, 16), part)]


def test_a_patch_with_less_than_half_of_the_weight_in_the_part_is_left_out() -> None:
    # The centres are 7.5, 19.5 and 31.5, sigma is 2. At voxel 13 the weight of the first patch is
    # exp(-5.5^2 / 8) = 0.023 and that of the second exp(-6.5^2 / 8) = 0.005, 18 % of the sum. At voxel
    # 14 the two weights are swapped.
    assert along_x(13) == [0]
    assert along_x(14) == [12]
    assert along_x(13, 14) == [0, 12]
    assert along_x(10, 11, 12) == [0]
    assert along_x(19) == [12]
    assert along_x(5, 30) == [0, 24]


def test_voxels_of_a_cell_beyond_the_end_of_the_volume_do_not_count() -> None:
    # Like voxel 13 above, in the last of 4 slices, which lie in the middle of a patch of 16 slices.
    part = Cells.empty((4, 1, 40), (3, 1, 1))
    part.mask[1, 0, 13] = True
    starts = plan_patches((4, 1, 40), (16, 1, 16), 0.25)
    assert select_patches(starts, (16, 1, 16), part) == [(-6, 0, 0)]


def test_two_of_four_patches_with_the_smallest_weight_are_selected() -> None:
    # In the corner between four patches the product of the axes is at most
    # exp(-5.5^2 / 8) * exp(-5.5^2 / 8) = 0.0005, so all four have the smallest weight.
    shape, patch = (1, 28, 28), (1, 16, 16)
    part = Cells.empty(shape, (1, 1, 1))
    part.mask[0, 13, 13] = True
    starts = plan_patches(shape, patch, 0.25)
    assert len(starts) == 4
    assert gaussian_profile(16)[13] * gaussian_profile(16)[13] == pytest.approx(0.00052, abs=1e-5)
    assert len(select_patches(starts, patch, part)) == 2


@settings(max_examples=60, deadline=None)
@parts
def test_no_probability_in_the_part_changes_by_more_than_a_half_and_most_do_not_change(
    shape: Shape, patch: Shape, overlap: float, side: Shape, seed: int
) -> None:
    starts, part = plan_patches(shape, patch, overlap), some_part(shape, side, seed)
    kept = select_patches(starts, patch, part)
    left_out = [start for start in starts if start not in kept]
    # The value of its last voxel in the volume identifies a patch.
    volume = 1 + np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    ends = {
        volume[tuple(min(n + p, m) - 1 for n, p, m in zip(start, patch, shape, strict=True))]
        for start in kept
    }

    def adverse(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return 0 for selected patches and 1 for patches that are left out."""
        one = np.full(patch, 0 if voxels.max() in ends else 1, np.float32)
        return np.stack([1 - one, one])

    whole = blend_patches(adverse, volume[None], patch=patch, overlap=overlap, classes=2)
    slabs = stream_patches(adverse, volume[None], patch=patch, starts=kept, classes=2)
    near = np.concatenate([values.copy() for _, values in slabs], axis=1)
    inside = part.voxel_mask(slice(0, shape[0]))
    assert np.abs(near - whole)[:, inside].max() <= 1 - KEPT_WEIGHT + 1e-6
    untouched = inside & (weights(shape, patch, left_out) == 0)
    assert (near == whole)[:, untouched].all()
