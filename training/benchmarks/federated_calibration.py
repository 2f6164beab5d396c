"""Simulate federations with known risks, and count the sites where a calibrated set breaks its promise.

    python training/benchmarks/federated_calibration.py --out training/benchmarks/results/calibration

Every federation has 20 sites with 5 to 50 labelled cases each (the logarithm uniform). The set is the
outer contour, a margin around the segmentation. Two losses:

- *contour*: the share of the structure that the contour misses. Case i of site s misses the share
  m exp(-margin / l) with m from a Beta distribution with mean 0.25 (a + b = 8), l log-normal around the
  site's length with a deviation of 0.5, and the site's length log-normal around 3 mm.
- *interval*: 1 if the true value is outside an interval, otherwise 0. The error of a case is normal with
  the site's length as deviation.

The deviation of the logarithm of the sites' lengths is varied: 0 means that all sites are alike, at 0.5
one site in six has a length above 1.65 times the median. The structure is a ball with a radius of 20 mm,
so a margin of d mm makes a set of (1 + d/20)^3 times its volume; the grid ends at 60 mm. A site's true
risk is integrated, not sampled. The oracle knows it and takes the smallest set of the grid that keeps
the promise at that site.
"""

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fedcross.uncertainty.risk_control import (
    SITES_KEPT,
    Floats,
    RiskCurves,
    conformal_bound,
    random_effects,
    risk_bound,
    smallest_index,
)

SITES, FEDERATIONS, CHUNK = 20, 1000, 50
CASES = (5, 50)
MARGINS_MM = np.arange(0, 60.25, 0.5)
RADIUS_MM, LENGTH_MM, CASE_DEVIATION = 20.0, 3.0, 0.5
MEAN_MISS, CONCENTRATION = 0.25, 8.0
DEVIATIONS = (0.0, 0.3, 0.5, 0.8)
ALPHAS = (0.1, 0.05)
TEST_CASES = 100
TO_BEAT = (2.7, 2.0)  # arXiv 2606.20115: sites of 20 that break the promise, size of the sets
Loss = Literal["contour", "interval"]
Row = dict[str, float | str]
LOSSES: tuple[Loss, ...] = ("contour", "interval")
WAYS = {
    "pooled": "#0072B2",
    "per-site, a set for each site": "#D55E00",
    "per-site, one set": "#8F3F00",
    "shrunk, a set for each site": "#56B4E9",
    "shrunk, one set": "#009E73",
}


@dataclass(frozen=True)
class Federations:
    """F federations: what their sites send, and the true risks.

    Attributes
    ----------
    curves
        Curves of the sites, (F, S, G).
    risks
        True risks, (F, S, G).
    """

    curves: RiskCurves
    risks: Floats


def simulate(rng: np.random.Generator, loss: Loss, deviation: float, count: int) -> Federations:
    """Simulate federations."""
    low, high = np.log(CASES[0]), np.log(CASES[1] + 1)
    cases = np.floor(np.exp(rng.uniform(low, high, (count, SITES))))
    lengths = LENGTH_MM * np.exp(deviation * rng.standard_normal((count, SITES)))
    shape = (count, SITES, CASES[1])
    used = (np.arange(CASES[1]) < cases[..., None])[..., None]  # (F, S, cases, 1)
    if loss == "interval":
        errors = np.abs(rng.standard_normal(shape)) * lengths[..., None]
        losses = (errors[..., None] > MARGINS_MM) & used
        sums = losses.sum(axis=2).astype(np.float64)
        curves = RiskCurves(cases, sums, sums)
    else:
        own = lengths[..., None] * np.exp(CASE_DEVIATION * rng.standard_normal(shape))
        missed = rng.beta(MEAN_MISS * CONCENTRATION, (1 - MEAN_MISS) * CONCENTRATION, shape)
        graded = missed[..., None] * np.exp(-MARGINS_MM / own[..., None]) * used
        curves = RiskCurves(cases, graded.sum(axis=2), np.square(graded).sum(axis=2))
    return Federations(curves, true_risks(loss, lengths))


def true_risks(loss: Loss, lengths: Floats) -> Floats:
    """Return the expected loss of sites with some lengths, (..., G)."""
    if loss == "interval":
        return np.asarray(2 * scipy.stats.norm.sf(MARGINS_MM / lengths[..., None]))
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    risks = np.zeros((*lengths.shape, len(MARGINS_MM)))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        own = lengths[..., None] * np.exp(CASE_DEVIATION * node)
        risks += MEAN_MISS * weight * np.exp(-MARGINS_MM / own)
    return risks


def own_limit(curves: RiskCurves) -> Floats:
    """Return a limit of each site's own risk, shrunk towards the mean of the sites, (F, S, G)."""
    mean, variance, between = (each[..., None, :] for each in random_effects(curves))
    cases = curves.cases[..., None]
    scatter = (curves.squares - curves.sums**2 / cases).sum(axis=-2, keepdims=True)
    within = np.maximum(scatter, 0) / np.maximum(cases.sum(axis=-2, keepdims=True) - SITES, 1)
    weight = between / (between + within / cases + np.finfo(float).tiny)
    centre = mean + weight * (curves.sums / cases - mean)
    error = np.sqrt(between * (1 - weight) + (1 - weight) ** 2 * variance)
    return np.asarray(centre + scipy.stats.t.ppf(SITES_KEPT, SITES - 2) * error)


def choose_sets(curves: RiskCurves, alpha: float) -> dict[str, NDArray[np.intp]]:
    """Return the index of the set of every site, (F, S), for each way; none is the whole grid."""
    bounds = {
        "pooled": risk_bound(curves, "pooled")[..., None, :],
        "per-site, a set for each site": conformal_bound(curves),
        "per-site, one set": risk_bound(curves, "per-site")[..., None, :],
        "shrunk, a set for each site": own_limit(curves),
        "shrunk, one set": risk_bound(curves, "shrunk")[..., None, :],
    }
    shape = curves.cases.shape
    chosen = {way: smallest_index(bound, alpha) for way, bound in bounds.items()}
    last = len(MARGINS_MM) - 1
    return {
        way: np.broadcast_to(np.where(index < 0, last, index), shape)
        for way, index in chosen.items()
    }


def measure(rng: np.random.Generator, loss: Loss, deviation: float, alpha: float) -> list[Row]:
    """Return a row of figures for each way."""
    sums: dict[str, Floats] = {way: np.zeros(5) for way in WAYS}
    allowed = scipy.stats.binom.ppf(0.95, TEST_CASES, alpha)
    for _ in range(FEDERATIONS // CHUNK):
        found = simulate(rng, loss, deviation, CHUNK)
        new = true_risks(loss, LENGTH_MM * np.exp(deviation * rng.standard_normal((CHUNK, SITES))))
        oracle = smallest_index(found.risks, alpha)
        best = volume(oracle)
        for way, index in choose_sets(found.curves, alpha).items():
            risks = np.take_along_axis(found.risks, index[..., None], axis=-1)[..., 0]
            one_set = way == "pooled" or way.endswith("one set")
            at_new = np.take_along_axis(new, index[..., None], axis=-1)[..., 0]
            sums[way] += [
                (risks > alpha + 1e-12).sum(),
                scipy.stats.binom.sf(allowed, TEST_CASES, risks).sum(),
                (at_new > alpha + 1e-12).sum() if one_set else np.nan,
                (volume(index) / best).mean() * CHUNK,
                (volume(index) - 1).sum() / (best - 1).sum() * CHUNK,
            ]
    return [
        {
            "loss": loss,
            "deviation": deviation,
            "alpha": alpha,
            "way": way,
            "broken": each[0],
            "flagged": each[1],
            "broken_new": each[2],
            "size": each[3],
            "added": each[4],
        }
        for way, each in ((way, total / FEDERATIONS) for way, total in sums.items())
    ]


def volume(index: NDArray[np.intp]) -> Floats:
    """Return the volume of the sets with the ball as unit."""
    return np.asarray((1 + MARGINS_MM[index] / RADIUS_MM) ** 3)


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "# Simulated federations with known risks",
        "",
        "| loss | alpha | sites' deviation | way | broken of 20 | flagged of 20 "
        "| new sites broken of 20 | size | added size |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        new = "-" if np.isnan(float(row["broken_new"])) else f"{row['broken_new']:.1f}"
        lines.append(
            f"| {row['loss']} | {row['alpha']} | {row['deviation']} | {row['way']} "
            f"| {row['broken']:.1f} | {row['flagged']:.1f} | {new} "
            f"| {row['size']:.2f} | {row['added']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def draw(rows: list[Row], path: Path) -> None:
    """Draw broken sites against size, one curve for each way over the sites' deviations."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, loss in zip(figure.subplots(1, 2, sharey=True), LOSSES, strict=True):
        for way, colour in WAYS.items():
            points = [
                (float(row["size"]), float(row["broken"]))
                for row in rows
                if (row["loss"], row["way"], row["alpha"]) == (loss, way, ALPHAS[0])
            ]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=way, markersize=4)
        axes.plot(*TO_BEAT[::-1], "k*", label="arXiv 2606.20115, shrinkage", markersize=9)
        axes.set(xscale="log", xlabel="size of the sets, oracle = 1", title=loss)
        axes.grid(visible=True, color="#e4e4e4")
    figure.axes[0].set_ylabel("sites of 20 that break the promise")
    figure.axes[1].legend(fontsize=7)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Simulate all settings, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2026)
    rows = [
        row
        for loss in LOSSES
        for alpha in ALPHAS
        for deviation in DEVIATIONS
        for row in measure(rng, loss, deviation, alpha)
    ]
    with (out / "simulation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {
                key: f"{value:.4f}" if isinstance(value, float) else value
                for key, value in row.items()
            }
            for row in rows
        )
    text = table(rows)
    (out / "simulation.md").write_text(text, encoding="utf-8")
    draw(rows, out / "simulation.svg")
    print(text)


if __name__ == "__main__":
    main()
