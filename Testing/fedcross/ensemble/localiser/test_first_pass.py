from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bright_boxes import BLOB, GRID, PATCH, certain, volume_with
from fedcross.ensemble.localiser.cells import Cells
from fedcross.ensemble.localiser.first_pass import (
    MAX_GAP_MM,
    StructureMissedError,
    clear_outside,
    find_surroundings,
    plan_first_pass,
)
from fedcross.patches.placement import Start, plan_patches
from fedcross.patches.predictor import PatchPredictor
from fedcross.volumes.grid import Triple
from fedcross.volumes.slab import Slab

SPACING: Triple = (0.5, 0.5, 1.0)


def test_the_first_pass_over_the_reference_volume_has_8_patches() -> None:
    shape, patch = (72, 384, 384), (32, 160, 160)
    starts = plan_first_pass(shape, patch, SPACING, full=27, members=4)
    assert starts[0] == (3, 21, 21)
    assert starts[-1] == (37, 203, 203)
    assert len(starts) == 8


@given(
    shape=st.tuples(*[st.integers(1, 200)] * 3),
    patch=st.tuples(*[st.integers(1, 60)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 15)] * 3),
)
def test_no_gap_of_the_first_pass_is_wider_than_allowed(
    shape: tuple[int, int, int], patch: tuple[int, int, int], spacing: Triple
) -> None:
    starts = plan_first_pass(shape, patch, spacing, full=10**9, members=1)
    for axis, (side, part, mm) in enumerate(zip(shape, patch, spacing[::-1], strict=True)):
        lows = sorted({start[axis] for start in starts})
        ends = [0, *(low + part for low in lows)]
        gaps = [begin - end for end, begin in zip(ends, [*lows, side], strict=True)]
        assert max(gaps) * mm <= MAX_GAP_MM


def test_there_is_no_first_pass_if_it_needs_more_than_a_quarter_of_all_patches() -> None:
    shape, patch = (72, 384, 384), (32, 160, 160)
    assert plan_first_pass(shape, patch, SPACING, full=8, members=4)  # 8 of 32
    assert not plan_first_pass(shape, patch, SPACING, full=7, members=4)  # 8 of 28
    assert not plan_first_pass(shape, patch, SPACING, full=27, members=1)  # 8 of 27


def test_there_is_no_first_pass_over_a_volume_of_one_patch() -> None:
    assert not plan_first_pass((32, 160, 160), (32, 160, 160), SPACING, full=1, members=9)


def surroundings_in(
    volume: NDArray[np.float32],
    predict: PatchPredictor = certain,
    starts: list[Start] | None = None,
    classes: int = 2,
) -> Cells | None:
    """Return the surroundings from a first pass; by default its patches lie side by side."""
    steps: list[tuple[int, int]] = []
    starts = plan_patches(volume.shape, PATCH, 0) if starts is None else starts
    surroundings = find_surroundings(
        predict,
        volume[None],
        patch=PATCH,
        starts=starts,
        classes=classes,
        spacing_mm=GRID.spacing_mm,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, len(starts)) for done in range(1, len(starts) + 1)]
    return surroundings


def extent(surroundings: Cells | None) -> list[tuple[int, int]]:
    """Return the first and last voxel along z, y, x."""
    assert surroundings is not None
    voxels = np.argwhere(surroundings.voxel_mask(slice(None)))
    return [(int(n.min()), int(n.max())) for n in voxels.T]


def test_the_surroundings_contain_the_structure_and_a_margin_of_ten_millimetres() -> None:
    # Cells of 2 voxels are 10 mm along z and 4 mm in plane. So one more cell along z and three more in
    # plane have a voxel nearer than 10 mm.
    assert extent(surroundings_in(volume_with(BLOB))) == [(8, 15), (14, 29), (24, 41)]


def test_the_surroundings_end_with_the_volume() -> None:
    corner = (slice(0, 4), slice(44, 48), slice(0, 6))
    assert extent(surroundings_in(volume_with(corner))) == [(0, 5), (38, 47), (0, 11)]


def test_voxels_that_are_only_suspected_have_surroundings() -> None:
    volume = volume_with(BLOB)
    volume[20, 40, 60] = 0.25
    surroundings = surroundings_in(volume)
    assert extent(surroundings) == [(8, 23), (14, 47), (24, 63)]
    assert surroundings is not None
    between = surroundings.voxel_mask(slice(None))[:, 30:34]
    assert not between.any()
    volume[20, 40, 60] = 0.15
    assert extent(surroundings_in(volume)) == extent(surroundings_in(volume_with(BLOB)))


def test_there_are_no_surroundings_if_no_structure_is_found() -> None:
    assert surroundings_in(volume_with()) is None
    ramp = np.linspace(0.3, 0.4, GRID.voxels, dtype=np.float32)
    assert surroundings_in(ramp.reshape(GRID.shape)) is None


def test_there_are_no_surroundings_if_one_of_two_structures_is_not_found() -> None:
    def of_three(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        one, other = (patch[0] == 1), 0.45 * (patch[0] == 2) + 0.55 * (patch[0] == 3)
        return np.stack([1 - one - other, one, other]).astype(np.float32)

    volume = volume_with(BLOB)
    volume[20:22, 40:42, 60:62] = 2  # probability 0.45: suspected, but not the most probable class
    assert surroundings_in(volume, of_three, classes=3) is None
    volume[20, 40, 60] = 3
    assert extent(surroundings_in(volume, of_three, classes=3)) == [(8, 23), (14, 47), (24, 63)]


def test_a_structure_inside_a_gap_is_not_found() -> None:
    assert surroundings_in(volume_with(BLOB), starts=[(0, 0, 0), (0, 24, 24), (14, 16, 24)]) is None
    assert surroundings_in(volume_with(BLOB), starts=[(0, 0, 0), (13, 23, 35)]) is not None


def test_a_gap_beside_a_suspected_voxel_belongs_to_the_surroundings_up_to_its_other_side() -> None:
    volume = volume_with((slice(10, 14), slice(12, 20), slice(30, 34)))
    starts = list(product((0, 16), (5, 27), (4, 24, 44)))
    assert extent(surroundings_in(volume)) == [(8, 15), (6, 25), (24, 39)]
    # The gap is y = 21 to 26. Of its cells, those of y = 20 to 25 have a voxel nearer than 12 mm. The
    # margin of 5 mm around them adds two cells.
    assert extent(surroundings_in(volume, starts=starts))[1] == (6, 29)
    volume[:, 14:] = 0  # the structure ends 12 mm before the cell of y = 20
    assert extent(surroundings_in(volume, starts=starts))[1] == (6, 19)


def test_padding_around_a_small_volume_is_never_a_structure() -> None:
    def dark(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        structure = (patch[0] == 0).astype(np.float32)
        return np.stack([1 - structure, structure])

    volume = np.random.default_rng(0).uniform(1, 2, (10, 48, 9)).astype(np.float32)
    assert surroundings_in(volume, dark) is None
    volume[5, 20, 4] = 0
    # Along z, voxel 5 lies in the cell of voxels 4 and 5, and one cell on each side is near. Along x
    # the whole volume is near.
    assert extent(surroundings_in(volume, dark)) == [(2, 7), (14, 27), (0, 8)]


SHAPE = (16, 10, 20)
BOX = (slice(4, 12), slice(0, 10), slice(4, 20))


def surroundings_of_box() -> Cells:
    """Return `BOX` as cells of 2 voxels a side."""
    cells = Cells.empty(SHAPE, (2, 2, 2))
    cells.mask[2:6, :, 2:] = True
    return cells


def slabs_of(probabilities: NDArray[np.float32], *cuts: int) -> Iterator[Slab]:
    """Yield a volume's probabilities in slabs that are cut before the slices `cuts`."""
    for low, high in pairwise((0, *cuts, probabilities.shape[1])):
        yield slice(low, high), probabilities[:, low:high]


def probabilities_with(*places: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return probabilities in which a structure is the most probable class at some voxels only."""
    structure = np.full(SHAPE, 0.4, np.float32)
    for place in places:
        structure[place] = 0.7
    return np.stack([1 - structure, structure])


@pytest.mark.parametrize("cuts", [(), (4,), (5, 12), (2, 6), (3, 7, 11, 14)])
def test_outside_the_surroundings_is_background_and_inside_the_probabilities_are_unchanged(
    cuts: tuple[int, ...],
) -> None:
    given = probabilities_with((7, 5, 10), (8, 0, 19), (14, 5, 10))
    before = given.copy()
    parts = list(clear_outside(slabs_of(given, *cuts), surroundings_of_box()))
    after = np.concatenate([probabilities for _, probabilities in parts], axis=1)
    assert (after[:, *BOX] == before[:, *BOX]).all()
    outside = np.ones(SHAPE, bool)
    outside[BOX] = False
    assert (after[0][outside] == 1).all()
    assert (after[1][outside] == 0).all()


@pytest.mark.parametrize("cuts", [(), (4,), (5, 8), (3, 7, 10)])
@pytest.mark.parametrize("place", [(4, 5, 8), (5, 0, 19), (10, 5, 8), (11, 5, 8), (7, 5, 5)])
def test_a_structure_in_the_outermost_cells_raises_structure_missed_error(
    place: tuple[int, int, int], cuts: tuple[int, ...]
) -> None:
    with pytest.raises(StructureMissedError):
        list(clear_outside(slabs_of(probabilities_with(place), *cuts), surroundings_of_box()))


@pytest.mark.parametrize(
    "place", [(6, 5, 6), (9, 0, 8), (7, 9, 8), (7, 5, 19), (3, 5, 8), (12, 5, 8), (7, 5, 3)]
)
def test_a_structure_inside_outside_or_at_the_end_of_the_volume_raises_no_error(
    place: tuple[int, int, int],
) -> None:
    assert list(clear_outside(slabs_of(probabilities_with(place), 5), surroundings_of_box()))


def test_each_of_several_structures_can_raise_structure_missed_error() -> None:
    given = np.stack([*probabilities_with(), np.zeros(SHAPE, np.float32)])
    given[2, 4, 5, 8] = 0.7
    with pytest.raises(StructureMissedError):
        list(clear_outside(slabs_of(given), surroundings_of_box()))
