"""Looking for the structures coarsely first."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.infer.geometry import Grid
from fedcross.infer.localise import coarse_patches, locate, reaches_faces

PATCH = (8, 16, 16)
GRID = Grid((64, 48, 32), (2.0, 2.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def bright(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A member to whom everything bright is the structure."""
    return np.stack([1 - patch, patch])


def found(volume: NDArray[np.float32]) -> object:
    return locate(bright, volume, GRID, patch=PATCH, overlap=0.25, classes=2)


def volume_with(*boxes: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    volume = np.zeros(GRID.shape, np.float32)
    for box in boxes:
        volume[box] = 1
    return volume


def test_the_box_is_what_was_found_and_ten_millimetres_around_it() -> None:
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    # z: 10 mm are 2 voxels, y and x: 5
    assert found(volume) == (slice(8, 16), slice(15, 29), slice(25, 41))


def test_the_box_ends_with_the_volume() -> None:
    volume = volume_with((slice(0, 4), slice(44, 48), slice(0, 6)))
    assert found(volume) == (slice(0, 6), slice(39, 48), slice(0, 11))


def test_two_pieces_far_apart_are_both_in_the_box_and_then_it_may_be_no_gain() -> None:
    near = volume_with(
        (slice(2, 4), slice(2, 6), slice(2, 6)), (slice(2, 4), slice(2, 6), slice(20, 24))
    )
    assert found(near) == (slice(0, 6), slice(0, 11), slice(0, 29))
    far = volume_with(
        (slice(0, 2), slice(0, 2), slice(0, 2)), (slice(30, 32), slice(46, 48), slice(62, 64))
    )
    assert found(far) is None


def test_nothing_found_is_no_box() -> None:
    assert found(volume_with()) is None


def test_a_structure_that_is_not_found_is_no_box() -> None:
    def one_of_two(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([1 - patch, patch, np.zeros_like(patch)])

    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    assert locate(one_of_two, volume, GRID, patch=PATCH, overlap=0.25, classes=3) is None


def test_an_odd_side_loses_no_voxel() -> None:
    volume = np.zeros((31, 47, 63), np.float32)
    volume[30, 46, 62] = 1
    grid = Grid((63, 47, 31), GRID.spacing_mm, GRID.origin_mm, GRID.direction)
    box = locate(bright, volume, grid, patch=PATCH, overlap=0.25, classes=2)
    assert box == (slice(28, 31), slice(41, 47), slice(57, 63))


def test_a_volume_of_few_patches_is_not_worth_the_look() -> None:
    assert coarse_patches((8, 16, 16), PATCH, 0.25) == 0
    assert coarse_patches((8, 16, 17), PATCH, 0.25) == 1
    assert coarse_patches(GRID.shape, PATCH, 0.25) == 3 * 2 * 3


def test_the_look_is_told_patch_by_patch() -> None:
    told: list[tuple[int, int]] = []
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    locate(
        bright, volume, GRID, patch=PATCH, overlap=0.25, classes=2,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(n, 18) for n in range(1, 19)]


@pytest.mark.parametrize(
    ("place", "reaches"),
    [
        ((4, 5, 5), True),  # the lower face along z
        ((7, 5, 5), True),
        ((5, 0, 5), False),  # that face is the volume's end
        ((5, 9, 5), False),
        ((5, 5, 3), True),
        ((5, 5, 19), False),  # the volume's end
        ((5, 5, 10), False),
    ],
)
def test_a_segmentation_reaches_a_face_unless_the_volume_ends_there(
    place: tuple[int, int, int], reaches: bool
) -> None:
    labels = np.zeros((12, 10, 20), np.uint8)
    labels[place] = 2
    assert reaches_faces(labels, (slice(4, 8), slice(0, 10), slice(3, 20))) is reaches
