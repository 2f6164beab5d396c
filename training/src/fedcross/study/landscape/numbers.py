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

MARGIN = 0.3
"""Margin of the picture beyond the outermost models, as a share of their distance."""
Losses = Callable[[State], dict[str, float]]
"""Returns the loss of a model at each site, and their mean as ``mean``."""


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
    """Measure the losses for the figure.

    Parameters
    ----------
    models
        State dicts of the models, by name.
    centre
        Name of the model from which the distances are measured.
    corners
        Names of the three models that span the plane.
    pairs
        Names of the two models at the ends of each line.
    parameters
        Names of the tensors that count for distances: the parameters, without buffers.
    points
        Number of points along each line and along each side of the plane.
    probe
        Computes the losses.
    reporter
        Receives the progress.

    Returns
    -------
    dict
        ``models``, ``lines`` and ``plane``, as values that JSON can hold.
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
        "lines": [_measure_line(pair, models, points, losses) for pair in pairs],
        "plane": {
            "corners": list(corners),
            **_measure_grid(plane, (a, b, c), list(positions.values()), points, losses),
        },
    }


def _measure_line(
    pair: tuple[str, str], models: Mapping[str, State], points: int, losses: Losses
) -> dict[str, Any]:
    """Return losses between two models, and how far they rise above a straight line (the barrier)."""
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


def _measure_grid(
    plane: Plane,
    corners: Sequence[State],
    positions: Sequence[Position],
    points: int,
    losses: Losses,
) -> dict[str, Any]:
    """Return losses on a rectangle of the plane that contains the nearest points of all models."""
    axes = []
    for axis in ("x", "y"):
        values = [getattr(position, axis) for position in positions]
        room = MARGIN * (max(values) - min(values))
        axes.append(np.linspace(min(values) - room, max(values) + room, points).tolist())
    found = [[losses(combine(corners, plane.shares(x, y))) for x in axes[0]] for y in axes[1]]
    sites = found[0][0]
    by_site = {name: [[each[name] for each in row] for row in found] for name in sites}
    return {"x": axes[0], "y": axes[1], "loss": by_site}  # loss[site][y][x]
