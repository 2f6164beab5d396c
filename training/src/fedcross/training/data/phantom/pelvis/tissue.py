"""Turn the shapes of a patient into tissue brightness, with textures and uneven borders."""

from collections.abc import Mapping

import numpy as np

from fedcross.training.data.phantom.pelvis.anatomy import (
    Patient,
    Place,
    central_distance,
    draw_number,
    neighbours,
)
from fedcross.training.data.phantom.pelvis.fields import Array, ellipsoid, smooth_field, soft_mask
from fedcross.training.data.phantom.pelvis.tables import PATIENTS, TISSUES, PatientRanges

Shades = Mapping[str, Array]


def paint_tissue(
    patient: Patient,
    place: Place,
    organ: Array,
    *,
    column: int,
    rng: np.random.Generator,
    ranges: PatientRanges = PATIENTS,
) -> Array:
    """Return the brightness of every voxel, (z, y, x) float32 from 0 upwards.

    Parameters
    ----------
    patient, place
        The patient and the positions of the voxels in it.
    organ
        Signed distance to the organ in mm.
    column
        Number of the hospital in `Tissue.brightness`.
    rng
        Generator of brightness, textures and borders.
    """
    shades = _draw_shades(organ.shape, column, rng, ranges)
    image = np.zeros(organ.shape, np.float32)
    veins = _draw_veins(organ, rng, ranges)
    for name, distance in neighbours(patient, place):
        _cover(image, shades[name], soft_mask(distance))
        if name == "bulb":  # veins lie over muscle and fat, and under bladder, vesicles and rectum
            _cover(image, shades["plexus"], soft_mask(veins))
    low, high = ranges.border_mm
    blurred = np.clip(0.5 + 0.6 * smooth_field(organ.shape, 18, rng), 0, 1) ** 2
    _cover(
        image,
        _paint_organ(patient, place, organ, shades, rng),
        soft_mask(organ, low + (high - low) * blurred),
    )
    visible = np.clip(0.3 + 0.5 * smooth_field(organ.shape, 15, rng), 0, 1)
    _cover(image, shades["capsule"], visible * soft_mask(np.abs(organ) - 0.8))
    return image


def _draw_shades(
    shape: tuple[int, ...], column: int, rng: np.random.Generator, ranges: PatientRanges
) -> dict[str, Array]:
    """The textured brightness of every tissue, as if it filled the volume."""
    textures = {grain: smooth_field(shape, grain, rng) for grain in (2, 5)}
    return {
        name: tissue.brightness[column]
        * np.float32(np.exp(rng.normal(0, ranges.brightness)))
        * np.clip(1 + tissue.texture * textures[tissue.grain_mm], 0, None)
        for name, tissue in TISSUES.items()
    }


def _draw_veins(organ: Array, rng: np.random.Generator, ranges: PatientRanges) -> Array:
    """Signed distance to the veins: a shell around the organ whose thickness varies."""
    thickness = draw_number(ranges.plexus_mm, rng) * smooth_field(organ.shape, 16, rng)
    return np.asarray(organ - thickness, np.float32)


def _paint_organ(
    patient: Patient, place: Place, organ: Array, shades: Shades, rng: np.random.Generator
) -> Array:
    """The brightness inside the organ: its zones, its dark front and up to three lesions."""
    x, y, _ = place
    rx, ry, rz = patient.radius
    image = shades["peripheral zone"].copy()
    _cover(image, shades["central zone"], soft_mask(central_distance(patient, place), 2.0))
    front = y + 0.7 * ry - 0.3 * ry * (x / rx) ** 2
    _cover(image, shades["stroma"], soft_mask(np.asarray(front, np.float32), 5.0))
    for _ in range(rng.integers(4)):
        angle = rng.uniform(0, np.pi)
        centre = (0.75 * rx * np.cos(angle), 0.65 * ry * np.sin(angle), rng.uniform(-0.6, 0.5) * rz)
        size = rng.uniform(3, 8, 3).tolist()
        _cover(image, shades["lesion"], soft_mask(ellipsoid(place, centre, size), 4.0))
    return image


def _cover(image: Array, shade: Array, mask: Array) -> None:
    """Blend `shade` over `image` in place."""
    image += mask * (shade - image)
