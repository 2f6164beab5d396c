"""The loss of models, along the lines between them, and on the plane through three of them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from fedcross.runtime.reporting import Reporter
from fedcross.strategies.averaging import combine
from fedcross.study.landscape.plane import Plane, Position, State, distance
from fedcross.study.landscape.probe import Probe

MARGIN = 0.3  # of the plane's picture, beyond its outermost model
Losses = Callable[[State], dict[str, float]]  # "mean" over the sites, and each site's


def measure(
    models: Mapping[str, State],
    centre: str,
    corners: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    parameters: Sequence[str],
    points: int,
    probe: Probe,
    reporter: Reporter,
) -> dict[str, Any]:
    """Measure everything that the figure shows.

    Parameters
    ----------
    models
        By name.
    centre
        The model that all others' distances are from.
    corners
        The three models that the plane goes through.
    pairs
        The ends of the lines.
    parameters
        Names of the tensors that span the space of weights.
    points
        Along each line and each side of the plane.
    probe
        Measures.
    reporter
        Hears of every model measured.

    Returns
    -------
    dict
        ``models``, ``lines`` and ``plane``, as JSON can hold them.
    """
    a, b, c = (models[corner] for corner in corners)
    plane = Plane(a, b, c, parameters)
    positions = {name: plane.position(model) for name, model in models.items()}
    total = len(models) + (len(pairs) + points) * points
    reporter.stage("measure", f"Measuring the loss of {total} models")
    done = itertools.count(1)

    def losses(state: State) -> dict[str, float]:
        by_site = probe.losses(state)
        reporter.progress(next(done), total, "measure")
        return {"mean": fmean(by_site.values()), **by_site}

    return {
        "models": {
            name: {
                "loss": losses(model),
                **asdict(positions[name]),
                "from_average": distance(model, models[centre], parameters),
            }
            for name, model in models.items()
        },
        "lines": [_line(pair, models, points, losses) for pair in pairs],
        "plane": {
            "corners": list(corners),
            **_grid(plane, (a, b, c), list(positions.values()), points, losses),
        },
    }


def _line(
    pair: tuple[str, str], models: Mapping[str, State], points: int, losses: Losses
) -> dict[str, Any]:
    """Losses between two models, and the barrier: how far they rise above the ends' straight line."""
    ends = [models[name] for name in pair]
    shares = np.linspace(0.0, 1.0, points).tolist()
    found = [losses(combine(ends, [1 - share, share])) for share in shares]
    means = [each["mean"] for each in found]
    chord = [(1 - share) * means[0] + share * means[-1] for share in shares]
    return {
        "from": pair[0],
        "to": pair[1],
        "share": shares,
        "loss": {name: [each[name] for each in found] for name in found[0]},
        "barrier": max(mean - straight for mean, straight in zip(means, chord, strict=True)),
    }


def _grid(
    plane: Plane,
    corners: Sequence[State],
    positions: Sequence[Position],
    points: int,
    losses: Losses,
) -> dict[str, Any]:
    """Losses on a rectangle of the plane that holds all models' nearest points."""
    axes = []
    for axis in ("x", "y"):
        values = [getattr(position, axis) for position in positions]
        room = MARGIN * (max(values) - min(values))
        axes.append(np.linspace(min(values) - room, max(values) + room, points).tolist())
    found = [[losses(combine(corners, plane.shares(x, y))) for x in axes[0]] for y in axes[1]]
    sites = found[0][0]
    by_site = {name: [[each[name] for each in row] for row in found] for name in sites}
    return {"x": axes[0], "y": axes[1], "loss": by_site}  # loss[site][y][x]
