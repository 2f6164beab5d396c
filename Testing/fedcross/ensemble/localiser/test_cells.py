import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from fedcross.ensemble.localiser.cells import Cells
from fedcross.patches.placement import plan_sparse_patches
from fedcross.volumes.grid import Triple


def with_voxels(shape: tuple[int, ...], side: tuple[int, ...], *voxels: tuple[int, ...]) -> Cells:
    """Return the cells of some voxels."""
    marked = np.zeros(shape, bool)
    for voxel in voxels:
        marked[voxel] = True
    cells = Cells.empty(shape, side)
    cells.add((0, 0, 0), marked)
    return cells


def indices(mask: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    return [tuple(map(int, index)) for index in np.argwhere(mask)]


def test_the_last_cell_of_an_axis_ends_with_the_volume() -> None:
    cells = with_voxels((5, 8, 9), (2, 4, 4), (4, 7, 8))
    assert cells.mask.shape == (3, 2, 3)
    assert indices(cells.mask) == [(2, 1, 2)]
    assert indices(cells.voxel_mask(slice(0, 5))) == [(4, y, 8) for y in (4, 5, 6, 7)]


def test_voxels_are_added_at_the_position_of_their_box() -> None:
    cells = Cells.empty((8, 8, 8), (4, 4, 4))
    box = np.zeros((3, 5, 2), bool)
    box[0, 0, 0] = box[2, 4, 1] = True  # the voxels (3, 1, 2) and (5, 5, 3) of the volume
    cells.add((3, 1, 2), box)
    assert indices(cells.mask) == [(0, 0, 0), (1, 1, 0)]
    cells.add((0, 0, 7), np.ones((1, 1, 1), bool))
    assert indices(cells.mask) == [(0, 0, 0), (0, 0, 1), (1, 1, 0)]


def test_the_voxel_mask_of_some_slices_equals_that_part_of_the_whole() -> None:
    cells = with_voxels((7, 6, 6), (2, 4, 4), (3, 0, 5), (6, 5, 0))
    whole = cells.voxel_mask(slice(0, 7))
    for low, high in [(0, 3), (3, 4), (5, 7)]:
        assert (cells.voxel_mask(slice(low, high)) == whole[low:high]).all()


def test_cells_outside_patches_are_those_not_completely_inside_a_patch() -> None:
    # Along z the patches cover 0 to 3 and 4 to 7 of 8 voxels, along y 1 to 4 of 6, along x all of them.
    starts = [(0, 1, -1), (4, 1, -1)]
    between = Cells.outside_patches(starts, (4, 4, 9), Cells.empty((8, 6, 7), (3, 2, 2)))
    # Along y only the cell of voxels 2 and 3 lies completely in a patch.
    assert (between.mask == np.broadcast_to([[[True], [False], [True]]], (3, 3, 4))).all()


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    side=st.tuples(*[st.integers(1, 4)] * 3),
    patch=st.tuples(*[st.integers(1, 6)] * 3),
    gap=st.floats(0, 4),
)
def test_cells_outside_patches_are_the_cells_of_all_voxels_outside_patches(
    shape: tuple[int, ...], side: tuple[int, ...], patch: tuple[int, ...], gap: float
) -> None:
    starts = plan_sparse_patches(shape, patch, (gap, gap, gap))
    covered = np.zeros(shape, bool)
    for start in starts:
        covered[tuple(slice(max(n, 0), n + p) for n, p in zip(start, patch, strict=True))] = True
    like = Cells.empty(shape, side)
    between, expected = Cells.outside_patches(starts, patch, like), Cells.empty(shape, side)
    expected.add((0, 0, 0), ~covered)
    assert (between.mask == expected.mask).all()


def test_union_and_intersection_apply_to_cells() -> None:
    one = with_voxels((4, 4, 4), (2, 2, 2), (0, 0, 0), (3, 3, 3))
    other = with_voxels((4, 4, 4), (2, 2, 2), (1, 1, 1), (0, 0, 3))
    assert indices((one | other).mask) == [(0, 0, 0), (0, 0, 1), (1, 1, 1)]
    assert indices((one & other).mask) == [(0, 0, 0)]


def test_a_margin_of_ten_millimetres_adds_four_cells_in_plane_and_five_along_z() -> None:
    # Cells of 2 x 5 x 5 voxels measure 2 x 2.5 x 2.5 mm. Between cells whose indices differ by k there
    # are k - 1 cells. In plane, 3 cells are 7.5 mm and 4 cells are 10 mm, which is not nearer than
    # 10 mm. Along z, 4 cells are 8 mm and 5 cells are 10 mm.
    grown = with_voxels((42, 105, 105), (2, 5, 5), (21, 52, 52)).dilate(10, (0.5, 0.5, 1))
    z, y, x = (np.flatnonzero(grown.mask.any(axis=axes)) for axes in [(1, 2), (0, 2), (0, 1)])
    assert (z[0], z[-1]) == (10 - 5, 10 + 5)
    assert (y[0], y[-1]) == (x[0], x[-1]) == (10 - 4, 10 + 4)
    assert grown.mask[10, 10 + 3, 10 + 4]  # 2 and 3 cells between them are 9.01 mm
    assert not grown.mask[10, 10 + 4, 10 + 4]  # 3 and 3 cells are 10.6 mm


def test_an_empty_set_stays_empty_and_a_margin_of_zero_adds_no_cell() -> None:
    assert not Cells.empty((9, 9, 9), (2, 2, 2)).dilate(100, (1, 1, 1)).mask.any()
    cells = with_voxels((9, 9, 9), (2, 2, 2), (4, 4, 4))
    assert (cells.dilate(0, (1, 1, 1)).mask == cells.mask).all()


def test_space_between_two_distant_cells_is_not_included() -> None:
    cells = with_voxels((4, 4, 100), (2, 2, 2), (0, 0, 0), (0, 0, 99)).dilate(10, (1, 1, 1))
    along_x = cells.mask.any(axis=(0, 1))
    # 5 cells on a side are nearer than 10 mm, because 4 cells between are 8 mm.
    assert indices(along_x) == [(i,) for i in (*range(6), *range(44, 50))]


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    side=st.tuples(*[st.integers(1, 4)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.5, 1.0, 3.0])] * 3),
    margin=st.floats(0.1, 8),
    seed=st.integers(0, 99),
)
def test_every_voxel_within_the_margin_is_in_the_dilated_set(
    shape: tuple[int, ...], side: tuple[int, ...], spacing: Triple, margin: float, seed: int
) -> None:
    marked = np.random.default_rng(seed).random(shape) < 0.02
    marked.flat[seed % marked.size] = True
    cells = Cells.empty(shape, side)
    cells.add((0, 0, 0), marked)
    distance = ndimage.distance_transform_edt(~marked, sampling=spacing[::-1])
    grown = cells.dilate(margin, spacing).voxel_mask(slice(0, shape[0]))
    assert grown[distance < margin].all()


def test_the_rim_has_a_neighbour_outside_the_set_and_the_end_of_the_volume_does_not_count() -> None:
    cells = Cells.empty((10, 10, 10), (1, 1, 1))
    cells.mask[0:5, 2:8, 6:10] = True
    inner = np.zeros((10, 10, 10), bool)
    inner[0:4, 3:7, 7:10] = True
    assert (cells.rim().mask == (cells.mask & ~inner)).all()
    cells.mask[:] = True
    assert not cells.rim().mask.any()


def test_a_neighbour_at_a_corner_counts_for_the_rim() -> None:
    cells = Cells.empty((3, 3, 3), (1, 1, 1))
    cells.mask[:] = True
    cells.mask[2, 2, 2] = False
    assert cells.rim().mask.sum() == 7  # the other cells of the 2 x 2 x 2 cells at that corner
