"""The plane through three models in the space of their weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Position:
    """Position of a model.

    Attributes
    ----------
    x, y
        Coordinates of the nearest point in the plane, in Euclidean distances between weights.
    off
        Distance from the plane.
    """

    x: float
    y: float
    off: float


class Plane:
    """The plane through three models a, b and c.

    The x axis runs from a to b, the y axis at a right angle to it towards c; a is the origin (Garipov
    et al., "Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs", NeurIPS 2018).

    Parameters
    ----------
    a, b, c
        State dicts of the three models.
    names
        Names of the tensors that count: the parameters, without buffers.

    Raises
    ------
    ValueError
        If the three models lie on a line.
    """

    def __init__(self, a: State, b: State, c: State, names: Sequence[str]) -> None:
        self._names = list(names)
        self._origin = self._vector(a)
        x, y = self._vector(b) - self._origin, self._vector(c) - self._origin
        self._side = float(x.norm())
        across = y - x * (float(y @ x) / max(self._side**2, 1e-300))
        self._height = float(across.norm())
        if min(self._side, self._height) <= 1e-9 * max(1.0, float(self._origin.norm())):
            raise ValueError("the three models lie on a line.")
        self._x, self._y = x / self._side, across / self._height
        self._slant = float(y @ self._x)  # the x coordinate of c

    def position(self, state: State) -> Position:
        """Return the nearest point in the plane to a model, and its distance from the plane."""
        offset = self._vector(state) - self._origin
        x, y = float(offset @ self._x), float(offset @ self._y)
        off = math.sqrt(max(float(offset @ offset) - x * x - y * y, 0.0))
        return Position(x, y, off)

    def shares(self, x: float, y: float) -> tuple[float, float, float]:
        """Return shares of a, b and c, with the sum 1, whose combination lies at (x, y)."""
        c = y / self._height
        b = (x - c * self._slant) / self._side
        return 1 - b - c, b, c

    def _vector(self, state: State) -> Tensor:
        return torch.cat([state[name].to(torch.float64).flatten() for name in self._names])


def distance(one: State, other: State, names: Sequence[str]) -> float:
    """Return the Euclidean distance between two models over the tensors `names`."""
    squares = [
        (one[n].to(torch.float64) - other[n].to(torch.float64)).square().sum() for n in names
    ]
    return math.sqrt(sum(float(square) for square in squares))
