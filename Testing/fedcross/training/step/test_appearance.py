import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.step.appearance import Appearance, change_appearance, enlarge


def an_image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_no_change_returns_the_image() -> None:
    image = an_image(3, 4, 5)
    assert torch.equal(change_appearance(image, Appearance()), image)


@pytest.mark.parametrize(
    "appearance",
    [
        Appearance(bias=torch.tensor([[[0.3, -0.4], [0.1, 0.2]]] * 2)),
        Appearance(curve=torch.tensor([0.0, 0.5, 0.6, 1.0])),
        Appearance(gin=((an_image(2, 1, 3, 3, 3), an_image(1, 2, 1, 1, 1)), 0.7)),
        Appearance(gamma=1.4),
        Appearance(gamma=0.7, is_inverted=True),
    ],
)
def test_changes_of_the_protocol_keep_mean_and_spread(appearance: Appearance) -> None:
    image = 2 + 3 * an_image(6, 8, 10)
    changed = change_appearance(image, appearance)
    assert not torch.allclose(changed, image, atol=0.05)
    for figure in (torch.mean, torch.std):
        torch.testing.assert_close(figure(changed), figure(image), rtol=1e-4, atol=1e-4)
    flat = torch.full((4, 4, 4), 1.5)
    torch.testing.assert_close(change_appearance(flat, appearance), flat)


def test_gamma_acts_on_the_range_of_the_patch() -> None:
    image = torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 3)
    changed = change_appearance(image, Appearance(gamma=2.0)).flatten()
    # 0, 1/4 and 1, shifted and scaled: the middle lies a quarter of the way.
    assert float((changed[1] - changed[0]) / (changed[2] - changed[0])) == pytest.approx(0.25)
    inverted = change_appearance(image, Appearance(gamma=2.0, is_inverted=True)).flatten()
    assert float((inverted[1] - inverted[0]) / (inverted[2] - inverted[0])) == pytest.approx(0.75)


def test_a_curve_is_linear_between_its_points() -> None:
    image = torch.linspace(0, 1, 9).reshape(1, 1, 9)
    changed = change_appearance(image, Appearance(curve=torch.tensor([0.0, 0.8, 1.0]))).flatten()
    unit = (changed - changed[0]) / (changed[-1] - changed[0])
    expected = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 0.85, 0.9, 0.95, 1.0])
    torch.testing.assert_close(unit, expected)


def test_a_blur_along_an_axis_is_the_sampled_gaussian() -> None:
    image = torch.zeros(1, 1, 9)
    image[0, 0, 4] = 1
    weights = [math.exp(-0.5 * (step / 0.8) ** 2) for step in range(-2, 3)]
    expected = torch.zeros(9)
    expected[2:7] = torch.tensor(weights) / sum(weights)
    blurred = change_appearance(image, Appearance(blur_voxels=(0.0, 0.0, 0.8)))
    torch.testing.assert_close(blurred.flatten(), expected)


@given(sigma=st.floats(0.3, 3), value=st.floats(-5, 5))
def test_a_blur_keeps_a_constant(sigma: float, value: float) -> None:
    image = torch.full((1, 5, 7), value)
    blurred = change_appearance(image, Appearance(blur_voxels=(sigma, sigma, sigma)))
    torch.testing.assert_close(blurred, image, rtol=1e-5, atol=1e-5)


def test_half_the_resolution_averages_pairs_of_voxels() -> None:
    image = torch.tensor([0.0, 2.0, 4.0, 6.0]).reshape(1, 1, 4)
    changed = change_appearance(image, Appearance(resolution=(1.0, 1.0, 0.5))).flatten()
    # The means 1 and 5 lie at 0.5 and 2.5.
    torch.testing.assert_close(changed, torch.tensor([1.0, 2.0, 4.0, 5.0]))


def test_noise_has_the_spread_and_is_repeatable() -> None:
    image = torch.zeros(20, 30, 30)
    noisy = change_appearance(image, Appearance(noise=0.5, seed=3))
    assert float(noisy.std()) == pytest.approx(0.5, rel=0.02)
    assert torch.equal(noisy, change_appearance(image, Appearance(noise=0.5, seed=3)))
    assert not torch.equal(noisy, change_appearance(image, Appearance(noise=0.5, seed=4)))


def test_coarse_points_are_interpolated_from_border_to_border() -> None:
    points = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2).expand(1, 2, 2, 2)
    (large,) = enlarge(points, (2, 3, 5), torch.device("cpu"))
    torch.testing.assert_close(large[1, 2], torch.linspace(0, 1, 5))
