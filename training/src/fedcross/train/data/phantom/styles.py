"""Styles of synthetic hospitals: how each acquires and annotates its images.

The number `shift` scales the differences of all styles: at 0 there are none (the cases of all sites are
iid), at 1 the styles are as defined, and above 1 the differences are exaggerated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

Triple = tuple[float, float, float]

INVERTED_FROM = 0.75
"""Smallest `shift` at which the sites with `inverted` show bright tissue dark."""


@dataclass(frozen=True)
class SiteStyle:
    """How one synthetic hospital acquires and annotates its images.

    Attributes
    ----------
    organ, neighbour
        Mean intensities relative to the surrounding tissue, whose intensity is 1.
    noise
        Standard deviation of the additive Gaussian noise, relative to the surrounding tissue.
    bias
        Relative amplitude of the smooth multiplicative bias field.
    gain
        Factor from relative intensities to stored numbers; scanners have no common unit.
    spacing_mm
        Voxel size (x, y, z) in LPS orientation.
    radius_mm
        Mean semi-axes of the organ (x, y, z).
    margin_mm
        Distance of the annotated border from the true one, positive outwards.
    fov_mm
        Field of view (x, y, z); a small one does not contain the whole body.
    gamma
        Exponent of the contrast curve.
    inverted
        Whether bright tissue is dark, as with another MR sequence.
    apex
        Share of the organ's lower half, where its contrast fades, that is not annotated.
    roundness
        Smoothness of the annotated border: 0 follows the organ's bumps, 1 is an ellipsoid.
    """

    organ: float
    neighbour: float
    noise: float
    bias: float
    gain: float
    spacing_mm: Triple
    radius_mm: Triple
    margin_mm: float
    fov_mm: Triple = (96.0, 96.0, 72.0)
    gamma: float = 1.0
    inverted: bool = False
    apex: float = 0.0
    roundness: float = 0.0


MEAN_STYLE = SiteStyle(1.6, 1.9, 0.16, 0.2, 400.0, (2.0, 2.0, 3.0), (21.0, 17.0, 17.0), 0.0)
SITE_STYLES: dict[str, SiteStyle] = {
    "site-1": SiteStyle(1.70, 2.00, 0.12, 0.10, 300.0, (2.0, 2.0, 3.0), (22.0, 18.0, 18.0), 0.0),
    "site-2": SiteStyle(1.45, 1.60, 0.20, 0.30, 900.0, (1.8, 1.8, 3.0), (19.0, 16.0, 16.0), 0.5),
    "site-3": SiteStyle(1.85, 2.30, 0.24, 0.15, 150.0, (2.2, 2.2, 2.5), (23.0, 18.0, 17.0), -0.5),
    "site-4": SiteStyle(1.55, 1.95, 0.14, 0.40, 60.0, (2.0, 2.0, 3.5), (20.0, 17.0, 19.0), 0.0),
}
UNSEEN_STYLE = SiteStyle(1.60, 1.75, 0.22, 0.30, 500.0, (1.9, 1.9, 3.0), (21.0, 17.0, 17.0), 0.0)


def style_at(style: SiteStyle, shift: float) -> SiteStyle:
    """Interpolate a style linearly between `MEAN_STYLE` (`shift` 0) and itself (1), or extrapolate.

    Properties that must be positive are kept positive; `apex` and `roundness` are kept from 0 to 1.
    `inverted` holds from `INVERTED_FROM` on.

    Parameters
    ----------
    style
        The style at `shift` 1.
    shift
        At least 0.
    """

    def mix(mean: float, own: float) -> float:
        return mean + shift * (own - mean)

    def interpolate(name: str) -> bool | float | Triple:
        mean, own = getattr(MEAN_STYLE, name), getattr(style, name)
        if isinstance(own, bool):
            return own and shift >= INVERTED_FROM
        if isinstance(mean, tuple):
            x, y, z = (max(mix(a, b), 0.5) for a, b in zip(mean, own, strict=True))
            return (x, y, z)
        if name in ("apex", "roundness"):
            return min(max(mix(mean, own), 0.0), 1.0)
        return mix(mean, own) if name == "margin_mm" else max(mix(mean, own), 0.02)

    values: dict[str, Any] = {field.name: interpolate(field.name) for field in fields(SiteStyle)}
    return replace(style, **values)


# Ranges of the properties at shift 1: lowest value, highest value, whether the scale is logarithmic.
# The voxel size has one range in the plane and one across it.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "organ": (1.3, 2.1, False),
    "neighbour": (1.4, 2.6, False),
    "noise": (0.06, 0.34, True),
    "bias": (0.02, 0.6, False),
    "gain": (30.0, 3000.0, True),
    "gamma": (0.6, 1.7, True),
    "plane_mm": (1.5, 2.6, False),
    "slice_mm": (2.0, 5.0, False),
    "size": (0.75, 1.25, True),
    "flatness": (0.85, 1.15, True),
    "margin_mm": (-1.5, 1.5, False),
    "apex": (0.0, 0.4, False),
    "roundness": (0.0, 1.0, False),
    "fov": (0.85, 1.2, False),
}


def draw_styles(names: Sequence[str], seed: int) -> dict[str, SiteStyle]:
    """Draw styles such that the sites differ in every property for every seed.

    The range of every property is divided into as many steps as there are sites, and the steps are
    assigned to the sites at random, separately for every property (Latin hypercube sampling). Every
    fourth site is inverted.

    Parameters
    ----------
    names
        Names of the sites.
    seed
        Seed of the random numbers, from 0.

    Returns
    -------
    dict of str to SiteStyle
        The style of every site.
    """
    rng = np.random.default_rng([seed, len(names)])
    drawn: dict[str, list[float]] = {}
    for name, (low, high, logarithmic) in _RANGES.items():
        steps = (rng.permutation(len(names)) + rng.uniform(0.25, 0.75, len(names))) / len(names)
        drawn[name] = [
            float(low * (high / low) ** t if logarithmic else low + t * (high - low)) for t in steps
        ]
    inverted = int(rng.integers(min(4, len(names))))
    return {
        name: _style({key: values[index] for key, values in drawn.items()}, index % 4 == inverted)
        for index, name in enumerate(names)
    }


def _style(drawn: dict[str, float], inverted: bool) -> SiteStyle:
    size, flat = drawn["size"], drawn["flatness"]
    rx, ry, rz = MEAN_STYLE.radius_mm
    x, y, z = (side * drawn["fov"] for side in MEAN_STYLE.fov_mm)
    return SiteStyle(
        organ=drawn["organ"],
        neighbour=drawn["neighbour"],
        noise=drawn["noise"],
        bias=drawn["bias"],
        gain=drawn["gain"],
        spacing_mm=(drawn["plane_mm"], drawn["plane_mm"], drawn["slice_mm"]),
        radius_mm=(rx * size, ry * size * flat, rz * size / flat),
        margin_mm=drawn["margin_mm"],
        fov_mm=(x, y, z),
        gamma=drawn["gamma"],
        inverted=inverted,
        apex=drawn["apex"],
        roundness=drawn["roundness"],
    )
