"""The shapes of a patient."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from fedcross.training.data.phantom.pelvis.anatomy import (
    Place,
    central_distance,
    draw_number,
    draw_patient,
    neighbours,
    organ_distance,
    place_patient,
    rectum_distance,
)
from fedcross.training.data.phantom.pelvis.tables import PATIENTS, TISSUES


def grid(half: int) -> Place:
    x, y, z = (np.arange(-half, half + 1, dtype=np.float32) for _ in range(3))
    return x[None, None, :], y[None, :, None], z[:, None, None]


def test_numbers_stay_in_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_number((2.0, 8.0), rng, logarithmic=True) for _ in range(400)]
    assert 2 <= min(drawn) <= max(drawn) <= 8
    assert np.median(drawn) == pytest.approx(4, abs=0.4)  # the geometric mean of 2 and 8


@pytest.mark.parametrize("seed", range(20))
def test_the_semi_axes_of_a_patient_enclose_the_volume(seed: int) -> None:
    patient = draw_patient(np.random.default_rng(seed), balloon=False)
    assert 4 / 3 * np.pi * np.prod(patient.radius) == pytest.approx(patient.volume_ml * 1000)
    assert PATIENTS.volume_ml[0] <= patient.volume_ml <= PATIENTS.volume_ml[1]


def test_an_endorectal_coil_widens_the_rectum() -> None:
    without, coil = (
        [draw_patient(np.random.default_rng(seed), balloon=balloon).rectum for seed in range(50)]
        for balloon in (False, True)
    )
    assert np.mean(coil) - np.mean(without) == pytest.approx(np.mean(PATIENTS.balloon_mm), abs=2)


@pytest.mark.parametrize("seed", range(3))
def test_the_organ_is_one_piece_of_the_stated_volume_and_outside_the_rectum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    patient = replace(draw_patient(rng, balloon=True), volume_ml=30.0, radius=(22.0, 18.0, 18.0))
    place = place_patient(grid(40), rng)
    organ = organ_distance(patient, place, rng) < 0
    assert organ.sum() == pytest.approx(30_000, abs=5)
    labels, pieces = ndimage.label(organ)
    assert np.bincount(labels.ravel())[1:].max() > 0.999 * organ.sum(), pieces
    assert rectum_distance(patient, place)[organ].min() > -3


def test_the_central_zone_is_in_the_organ_and_does_not_reach_its_back() -> None:
    patient = draw_patient(np.random.default_rng(1), balloon=False)
    x, y, z = np.broadcast_arrays(*grid(50))
    central = central_distance(patient, (x, y, z)) < 0
    _, ry, _ = patient.radius
    assert 0 < central.sum() < patient.volume_ml * 1000
    assert y[central].max() < 0.9 * ry


def test_the_neighbours_are_tissues_and_lie_where_anatomy_has_them() -> None:
    patient = draw_patient(np.random.default_rng(2), balloon=False)
    x, y, z = np.broadcast_arrays(*grid(60))
    inside = {name: distance < 0 for name, distance in neighbours(patient, (x, y, z))}
    assert inside.keys() < TISSUES.keys()
    assert z[inside["urine"]].mean() > patient.radius[2]
    assert z[inside["bulb"]].max() < -patient.radius[2]
    assert y[inside["rectum content"]].min() > 0
    assert y[inside["vesicle"]].mean() > 0
    assert inside["fat"].mean() > 0.99


def test_a_patient_is_placed_with_a_smooth_displacement() -> None:
    place = place_patient(grid(30), np.random.default_rng(3))
    low, high = PATIENTS.scale
    for axis, steps in enumerate((2, 1, 0)):
        slope = np.diff(place[axis], axis=steps)
        assert 0.7 / high < slope.mean() < 1.3 / low
        assert slope.min() > 0  # no fold
