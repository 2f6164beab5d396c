"""The heat map's colours: brighter means more uncertain, evenly."""

import numpy as np
import pytest


@pytest.fixture
def colors(loaded):
    from FedCrossSlicerLib.colors import heatColors

    return heatColors()


def lightness(srgb):
    """CIE L* by the sRGB standard's own formulas, from the screen's values back."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    y = linear @ (0.2126, 0.7152, 0.0722)
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def test_lightness_rises_evenly_from_dark_to_light(colors):
    steps = np.diff(lightness(colors))
    assert steps.min() > 0
    assert steps.max() < 1.5 * steps.mean()


def test_the_ends_are_nearly_black_and_nearly_white(colors):
    low, high = lightness(colors)[[0, -1]]
    assert low < 20
    assert high > 90


def test_no_color_was_cut_off_at_what_a_screen_can_show(colors):
    inner = colors[1:-1]
    assert ((inner > 0) & (inner < 1)).all()


def test_known_lab_values_become_known_screen_values(loaded):
    from FedCrossSlicerLib.colors import labToSRGB

    black_white_red = np.array([[0, 0, 0], [100, 0, 0], [53.2408, 80.0925, 67.2032]], float)
    expected = [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    np.testing.assert_allclose(labToSRGB(black_white_red), expected, atol=2e-3)
