"""The heat map's colours: brighter means more uncertain, evenly."""

import numpy as np
import pytest


@pytest.fixture
def colors(loaded):
    from FedCrossSlicerLib.display.colors import heatColors

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
    from FedCrossSlicerLib.display.colors import labToSRGB

    black_white_red = np.array([[0, 0, 0], [100, 0, 0], [53.2408, 80.0925, 67.2032]], float)
    expected = [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    np.testing.assert_allclose(labToSRGB(black_white_red), expected, atol=2e-3)


# What is seen without one kind of cones: Machado, Oliveira and Fernandes 2009, severity 1; linear RGB.
SIGHT = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranope": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanope": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def seen(srgb, sight):
    """CIELAB (D65) of screen colours, as someone sees them."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = (np.clip(linear @ SIGHT[sight].T, 0, 1) @ to_xyz.T / (0.9505, 1, 1.089)).T
    f = [
        np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29) for t in (x, y, z)
    ]
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=1)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(("members", "least"), [(2, 30), (5, 16), (7, 16), (10, 9)])
def test_members_are_told_apart_by_everybody(loaded, sight, members, least):
    """A difference in CIELAB of 2.3 is just seen; thin lines ask for more."""
    from FedCrossSlicerLib.display.colors import memberColors

    lab = seen(np.array(memberColors(members)), sight)
    differences = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert differences[np.triu_indices(members, 1)].min() >= least


def test_members_are_bright_enough_for_the_dark_ground_of_a_slice(loaded):
    from FedCrossSlicerLib.display.colors import memberColors

    assert lightness(np.array(memberColors(20))).min() > 40


def test_as_many_members_as_there_may_be_have_a_color_each(loaded):
    from FedCrossSlicerLib.display.colors import memberColors

    assert len(set(memberColors(40))) == 40
    assert len(memberColors(1)) == 1
