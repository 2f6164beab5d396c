"""Properties of images against numbers derived by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.infer.familiarity import image
from fedcross.infer.familiarity.image import SMALLEST, Properties, measure_geometry, measure_images
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def grid_of(shape: tuple[int, ...], spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> Grid:
    return Grid((shape[2], shape[1], shape[0]), spacing_mm, (0.0, 0.0, 0.0), AXES)


def measure(*channels: NDArray[np.float64]) -> Properties:
    grid = grid_of(channels[0].shape)
    return measure_images(Prepared(np.stack(channels).astype(np.float32), grid, grid, grid))


def test_geometry_is_spacing_and_field_of_view_as_logarithms() -> None:
    found = measure_geometry(grid_of((10, 20, 40), (0.5, 1.0, 3.0)))
    assert {name: round(float(np.exp(value)), 6) for name, value in found.items()} == {
        "spacing_x": 0.5,
        "field_of_view_x": 20,
        "spacing_y": 1,
        "field_of_view_y": 20,
        "spacing_z": 3,
        "field_of_view_z": 30,
    }


def test_a_ramp_along_x_by_hand() -> None:
    x = np.broadcast_to(np.arange(9.0), (6, 6, 9))
    found = measure(x)
    assert found["percentile_50:0"] == 4
    assert found["skewness:0"] == pytest.approx(0)
    assert found["share_of_lowest:0"] == pytest.approx(1 / 9)
    assert found["roughness_x_1:0"] == pytest.approx(np.log(1 + SMALLEST))
    assert found["roughness_x_3:0"] == pytest.approx(np.log(9 + SMALLEST))
    assert found["roughness_y_1:0"] == found["noise:0"] == pytest.approx(np.log(SMALLEST))
    assert found["slope_x:0"] == 6  # thirds with the means 1, 4 and 7
    assert found["centre_x:0"] == found["slope_z:0"] == 0


def test_the_noise_is_the_standard_deviation_of_white_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 0.4, (20, 60, 60))
    assert np.exp(measure(noise)["noise:0"]) == pytest.approx(0.4, rel=0.02)


def test_every_channel_has_its_own_properties() -> None:
    rng = np.random.default_rng(0)
    found = measure(rng.normal(size=(8, 8, 8)), 2 * rng.normal(size=(8, 8, 8)))
    assert found["noise:1"] - found["noise:0"] == pytest.approx(np.log(2), abs=0.2)


def test_of_a_large_volume_evenly_spaced_slabs_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).normal(0, 1, (64, 20, 20))
    whole = measure(noise)
    monkeypatch.setattr(image, "MAX_VOXELS", 16 * 400)
    part = measure(noise)
    assert part != whole
    for name, value in whole.items():
        assert part[name] == pytest.approx(value, abs=0.15), name


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 2), (2, 3, 1)])
def test_tiny_and_constant_volumes_have_finite_properties(shape: tuple[int, int, int]) -> None:
    found = measure(np.full(shape, 3.0))
    assert np.isfinite(list(found.values())).all()
