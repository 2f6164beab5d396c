"""The colours of the heat map and of the members' outlines.

The heat map's colours run from dark violet over red to pale yellow. They lie on straight lines between
control points in CIELAB with evenly rising lightness L*. Equal steps of uncertainty therefore look like
equal steps, in grey print and with colour-blind eyes too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Color = tuple[float, float, float]

_CONTROL_POINTS = (  # (L*, a*, b*)
    (18.0, 32.0, -38.0),
    (36.0, 54.0, -22.0),
    (54.0, 62.0, 22.0),
    (72.0, 34.0, 62.0),
    (92.0, -6.0, 66.0),
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
_XYZ_TO_RGB = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def heatColors(count: int = 256) -> NDArray[np.float64]:
    """Return the colour table, (count, 3) sRGB values from 0 to 1; the last is the most uncertain."""
    points = np.array(_CONTROL_POINTS)
    position = np.linspace(0, len(points) - 1, count)
    lab = np.stack([np.interp(position, range(len(points)), axis) for axis in points.T], axis=1)
    return labToSRGB(lab)


def labToSRGB(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert CIELAB (D65) to sRGB (IEC 61966-2-1), clipped to the range of a screen.

    Parameters
    ----------
    lab
        (n, 3): L* from 0 to 100, a* and b*.

    Returns
    -------
    numpy.ndarray
        (n, 3): red, green, blue; each 0 to 1.
    """
    y = (lab[:, 0] + 16) / 116
    f = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ _XYZ_TO_RGB.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(srgb, np.float64)


# The colours of Okabe and Ito (Color Universal Design, 2008), which differ for every kind of colour
# vision; without black, which is the background of the slice views.
_MEMBERS = (
    (0.902, 0.624, 0.000),
    (0.337, 0.706, 0.914),
    (0.000, 0.620, 0.451),
    (0.941, 0.894, 0.259),
    (0.000, 0.447, 0.698),
    (0.835, 0.369, 0.000),
    (0.800, 0.475, 0.655),
)


def memberColors(count: int) -> list[Color]:
    """Return a colour for each member; the eighth member gets a paler tint of the first colour."""
    return [_memberColor(member) for member in range(max(count, 1))]


def _memberColor(member: int) -> Color:
    tint = 0.5 ** (member // len(_MEMBERS))
    red, green, blue = _MEMBERS[member % len(_MEMBERS)]
    return (1 - (1 - red) * tint, 1 - (1 - green) * tint, 1 - (1 - blue) * tint)


def colorName(color: Sequence[float]) -> str:
    """Return a colour as HTML writes it, such as ``"#33cc66"``; each channel is clipped to 0 to 1."""
    return "#" + "".join(f"{round(255 * min(max(channel, 0), 1)):02x}" for channel in color)
