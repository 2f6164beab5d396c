"""The heat map's own colours: from dark violet over red to pale yellow, evenly brighter.

The path runs straight between control points in CIELAB with evenly rising lightness L*, so that equal
steps of uncertainty look like equal steps, in grey print and to colour-blind eyes too.
"""

import numpy as np

# L*, a*, b*
_PATH = (
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


def heatColors(count: int = 256) -> np.ndarray:
    """Return the table as (count, 3) sRGB, 0 to 1, from certain to uncertain."""
    path = np.array(_PATH)
    position = np.linspace(0, len(path) - 1, count)
    lab = np.stack([np.interp(position, range(len(path)), axis) for axis in path.T], axis=1)
    return labToSRGB(lab)


def labToSRGB(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB (D65) to sRGB (IEC 61966-2-1), clipped to what a screen can show.

    Parameters
    ----------
    lab
        (n, 3): L* 0 to 100, a*, b*.
    """
    y = (lab[:, 0] + 16) / 116
    f = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE
    linear = np.clip(xyz @ _XYZ_TO_RGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# Okabe and Ito's colours (Color Universal Design, 2008), told apart with every kind of colour vision;
# without black, which is the slice view's background.
_MEMBERS = (
    (0.902, 0.624, 0.000),
    (0.337, 0.706, 0.914),
    (0.000, 0.620, 0.451),
    (0.941, 0.894, 0.259),
    (0.000, 0.447, 0.698),
    (0.835, 0.369, 0.000),
    (0.800, 0.475, 0.655),
)


def memberColors(count: int) -> list[tuple[float, float, float]]:
    """Return a colour for each member; more than seven begin anew, paler every time."""
    colors = []
    for member in range(max(count, 1)):
        paler = 0.5 ** (member // len(_MEMBERS))
        red, green, blue = _MEMBERS[member % len(_MEMBERS)]
        colors.append(tuple(1 - (1 - channel) * paler for channel in (red, green, blue)))
    return colors
