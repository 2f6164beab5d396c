import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from fedcross.volumes.distance import distance_map


def test_distances_use_the_spacing_of_each_axis_and_are_rounded_up() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 2, 2] = 3
    distances = distance_map(labels, (0.5, 1.0, 2.5))  # x, y, z
    assert distances[2, 2].tolist() == [1, 1, 0, 1, 1]  # 1.0, 0.5, 0 mm along x
    assert distances[2, :, 2].tolist() == [2, 1, 0, 1, 2]
    assert distances[:, 2, 2].tolist() == [5, 3, 0, 3, 5]


def test_without_a_structure_every_distance_is_255() -> None:
    assert (distance_map(np.zeros((2, 3, 4), np.uint8), (1, 1, 1)) == 255).all()


def test_distances_above_255_mm_are_255() -> None:
    labels = np.zeros((1, 1, 4), np.uint8)
    labels[0, 0, 0] = 1
    assert distance_map(labels, (100.0, 1, 1)).ravel().tolist() == [0, 100, 200, 255]


@given(st.integers(0, 2**20), st.tuples(*[st.floats(0.5, 60)] * 3))
def test_the_cropped_computation_equals_brute_force(seed: int, spacing: tuple) -> None:
    labels = (np.random.default_rng(seed).random((4, 5, 6)) < 0.03).astype(np.uint8)
    if not labels.any():
        return
    scale = np.array(spacing[::-1])
    points_mm = np.argwhere(np.ones_like(labels)) * scale
    nearest = cdist(points_mm, np.argwhere(labels) * scale).min(axis=1).reshape(labels.shape)
    expected = np.minimum(np.ceil(nearest - 1e-6), 255)
    assert (distance_map(labels, spacing) == expected).all()
