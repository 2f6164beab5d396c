import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedcross.strategies.averaging import combine
from fedcross.study.landscape.plane import Plane, distance

# Models of two tensors: (1, 0 | 0), (4, 4 | 0), (1, 0 | 2), and a buffer that spans nothing.
A = {"v": torch.tensor([1.0, 0.0]), "w": torch.tensor([0.0]), "n": torch.tensor(7)}
B = {"v": torch.tensor([4.0, 4.0]), "w": torch.tensor([0.0]), "n": torch.tensor(9)}
C = {"v": torch.tensor([1.0, 0.0]), "w": torch.tensor([2.0]), "n": torch.tensor(1)}
NAMES = ["v", "w"]


def test_the_corners_have_the_coordinates_computed_by_hand() -> None:
    plane = Plane(A, B, C, NAMES)
    found = [plane.position(corner) for corner in (A, B, C)]
    # A to B is (3, 4): 5 long; C is 2 off it at a right angle.
    assert [(p.x, p.y) for p in found] == [(0, 0), (5, 0), (pytest.approx(0), pytest.approx(2))]
    assert all(p.off == pytest.approx(0, abs=1e-6) for p in found)


def test_a_model_outside_the_plane_has_its_distance() -> None:
    # From A along (-4, 3), which is at right angles to both axes, by 10.
    away = {"v": torch.tensor([-7.0, 6.0]), "w": torch.tensor([1.0])}
    position = Plane(A, B, C, NAMES).position(away)
    assert (position.x, position.y, position.off) == pytest.approx((0, 1, 10))


@given(st.floats(-3, 8), st.floats(-3, 5))
def test_shares_give_the_position_and_have_the_sum_one(x: float, y: float) -> None:
    slanted = {"v": torch.tensor([2.0, 3.0]), "w": torch.tensor([2.0]), "n": torch.tensor(1)}
    plane = Plane(A, B, slanted, NAMES)
    shares = plane.shares(x, y)
    assert sum(shares) == pytest.approx(1)
    position = plane.position(combine([A, B, slanted], shares))
    assert (position.x, position.y) == pytest.approx((x, y), abs=1e-5)
    assert position.off == pytest.approx(0, abs=1e-2)  # the root of a rounding difference


def test_the_average_of_the_corners_has_equal_shares() -> None:
    plane = Plane(A, B, C, NAMES)
    mean = plane.position(combine([A, B, C], [1 / 3, 1 / 3, 1 / 3]))
    assert plane.shares(mean.x, mean.y) == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-6)


def test_models_on_a_line_span_no_plane() -> None:
    for third in (A, B, combine([A, B], [0.5, 0.5])):
        with pytest.raises(ValueError, match="on a line"):
            Plane(A, B, third, NAMES)
    with pytest.raises(ValueError, match="on a line"):
        Plane(A, A, B, NAMES)


def test_distances_are_euclidean_over_the_named_tensors() -> None:
    assert distance(A, B, NAMES) == 5
    assert distance(B, C, NAMES) == pytest.approx(29**0.5)
    assert distance(A, C, ["v"]) == 0
