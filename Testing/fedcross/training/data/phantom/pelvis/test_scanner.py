"""Slices, coil profiles, blur and noise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.data.phantom.pelvis.scanner import (
    Slices,
    acquire,
    coil_profile,
    plan_slices,
)
from fedcross.training.data.phantom.pelvis.tables import HOSPITALS, SLICES, Hospital

QUIET = replace(
    HOSPITALS["site-2"], noise=(1e-6, 1e-6), gamma=(1.0, 1.0), gain=1000.0, bias=(0.0, 0.0)
)


def open_grid(half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    axis = np.arange(-half, half + 1, dtype=np.float32)
    return axis[None, None, :], axis[None, :, None], axis[:, None, None]


@given(
    site=st.sampled_from(sorted(HOSPITALS)),
    low=st.floats(-45, -10),
    height=st.floats(20, 85),
    seed=st.integers(0, 2**32),
)
def test_the_slices_cover_the_organ(site: str, low: float, height: float, seed: int) -> None:
    hospital = HOSPITALS[site]
    high = low + height
    slices = plan_slices(hospital, hospital.fov_mm[0], (low, high), np.random.default_rng(seed))
    last = slices.first_mm + (slices.count - 1) * slices.slice_mm
    assert slices.first_mm <= low
    assert last >= high
    assert SLICES[0] <= slices.count <= SLICES[1]
    assert hospital.plane_mm[0] <= slices.plane_mm <= hospital.plane_mm[1]
    assert slices.slice_mm >= hospital.slice_mm[0]


def test_sampling_keeps_a_linear_function() -> None:
    x, y, z = open_grid(20)
    volume = (x + 10 * y + 100 * z).astype(np.float32)
    slices = Slices(plane_mm=0.7, side=20, slice_mm=3.0, count=5, first_mm=-6.5)
    found = slices.sample(volume, (-20, -20, -20))
    assert found.shape == (5, 20, 20)
    start = -0.7 * 19 / 2
    assert found[0, 0, 0] == pytest.approx(start + 10 * start - 650, abs=0.01)
    assert found[2, 3, 1] == pytest.approx(start + 0.7 + 10 * (start + 2.1) - 50, abs=0.01)
    image = slices.image(np.zeros(found.shape, np.uint8))
    assert image.TransformIndexToPhysicalPoint((1, 3, 2)) == pytest.approx(
        (start + 0.7, start + 2.1, -0.5)
    )


def test_the_slab_contains_every_slice_with_its_thickness() -> None:
    slices = Slices(plane_mm=1.0, side=10, slice_mm=3.0, count=4, first_mm=-5.0)
    assert slices.slab(50) == (42, 58)  # from -8 mm to 7 mm; the last slice ends at 5.5 mm
    assert slices.slab(6) == (0, 13)


def profile(hospital: Hospital) -> np.ndarray:
    x, y, z = open_grid(50)
    rectum = np.sqrt(x**2 + (y - 35) ** 2 + 0 * z) - 15
    return coil_profile(hospital, (x, y, z), rectum, np.random.default_rng(0))


def test_an_endorectal_coil_is_bright_at_the_rectum_and_falls_off() -> None:
    signal = profile(replace(HOSPITALS["site-1"], bias=(0.0, 0.0), coil_gain=(6.0, 6.0)))
    along_y = signal[50, :, 50]  # the wall of the rectum is at y = 20, index 70
    assert along_y[72] == pytest.approx(6, rel=0.05)
    assert (np.diff(along_y[:70]) > 0).all()
    assert along_y[0] < 1.5


def test_an_array_is_bright_at_the_front_and_the_back_and_a_body_coil_uniform() -> None:
    array = profile(replace(HOSPITALS["site-2"], bias=(0.0, 0.0)))[50, :, 50]
    assert array[0] > array[50] < array[-1]
    body = profile(replace(HOSPITALS["site-3"], bias=(0.0, 0.0)))
    assert np.ptp(body) == 0


def test_a_voxel_averages_over_its_thick_slice() -> None:
    _, _, z = open_grid(20)
    step = np.broadcast_to((z >= 0).astype(np.float32), (41, 41, 41)).copy()
    slices = Slices(plane_mm=1.0, side=20, slice_mm=3.0, count=5, first_mm=-7.0)
    image = acquire(step, QUIET, slices, (-20, -20, -20), np.random.default_rng(0))
    # Slices at -7, -4, -1, 2 and 5 mm; that at -1 mm averages the layers -2, -1 and 0.
    assert image[:, 10, 10].tolist() == pytest.approx([0, 0, 333, 1000, 1000], abs=2)


def test_the_noise_has_the_stated_level_and_stored_numbers_are_not_negative() -> None:
    noisy = replace(QUIET, noise=(0.1, 0.1), blur_mm=(1.0, 1.0))
    slices = Slices(plane_mm=1.0, side=40, slice_mm=3.0, count=12, first_mm=-18.0)
    bright, dark = (
        acquire(np.full((41, 41, 41), level, np.float32), noisy, slices, (-20, -20, -20), rng)
        for level, rng in ((1.0, np.random.default_rng(1)), (0.0, np.random.default_rng(2)))
    )
    assert bright.std() == pytest.approx(100, rel=0.05)
    assert dark.min() >= 0
    assert dark.mean() == pytest.approx(100 * np.sqrt(np.pi / 2), rel=0.05)  # Rayleigh
