"""Draw a patient: the shapes of the organ and of its neighbours in a male pelvis.

Positions are in mm in LPS orientation: x to the left, y to the back, z to the head. The organ is at
the origin. All shapes are implicit: a signed distance in mm, negative inside.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from fedcross.training.data.phantom.pelvis.fields import Array, ellipsoid, smooth_field
from fedcross.training.data.phantom.pelvis.tables import PATIENTS, PatientRanges, Range

Place = tuple[Array, Array, Array]
WARP_DISTANCE_MM = 32.0
INFINITE = float("inf")


@dataclass(frozen=True)
class Patient:
    """The numbers of one patient; lengths in mm.

    Attributes
    ----------
    volume_ml
        Volume of the organ.
    radius
        Semi-axes (x, y, z) of the organ before bumps and warp.
    taper, central_share, bladder
        See `PatientRanges`.
    rectum
        Outer radius of the rectum.
    middle_lobe
        Whether the organ protrudes into the bladder.
    """

    volume_ml: float
    radius: tuple[float, float, float]
    taper: float
    central_share: float
    bladder: float
    rectum: float
    middle_lobe: bool


def draw_number(bounds: Range, rng: np.random.Generator, *, logarithmic: bool = False) -> float:
    """Draw a number uniformly from a range, or uniformly on a logarithmic scale."""
    low, high = bounds
    if logarithmic:
        return float(low * (high / low) ** rng.uniform())
    return float(rng.uniform(low, high))


def draw_patient(
    rng: np.random.Generator, *, balloon: bool, ranges: PatientRanges = PATIENTS
) -> Patient:
    """Draw a patient; with `balloon` an endorectal coil widens the rectum."""
    volume_ml = draw_number(ranges.volume_ml, rng, logarithmic=True)
    ball = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    width = draw_number(ranges.width, rng, logarithmic=True)
    height = draw_number(ranges.height, rng, logarithmic=True)
    rectum = draw_number(ranges.rectum_mm, rng)
    if balloon:
        rectum += draw_number(ranges.balloon_mm, rng)
    return Patient(
        volume_ml=volume_ml,
        radius=(ball * width, ball / (width * height), ball * height),
        taper=draw_number(ranges.taper, rng),
        central_share=draw_number(ranges.central_share, rng),
        bladder=draw_number(ranges.bladder, rng),
        rectum=rectum,
        middle_lobe=bool(rng.uniform() < 0.3),
    )


def place_patient(grid: Place, rng: np.random.Generator, ranges: PatientRanges = PATIENTS) -> Place:
    """Map voxel positions in the scanner to positions in the patient.

    The patient is rotated, shifted, scaled and deformed by a smooth random displacement.

    Parameters
    ----------
    grid
        Open grids x, y and z of voxel positions in mm, spaced by 1 mm.
    """
    turn = [draw_number(ranges.tilt_rad, rng) for _ in range(2)]
    turn.append(draw_number(ranges.turn_rad, rng))
    matrix = Rotation.from_euler("xyz", turn).as_matrix()
    matrix /= draw_number(ranges.scale, rng, logarithmic=True)
    moved = [axis - np.float32(draw_number(ranges.offset_mm, rng)) for axis in grid]
    warp_mm = draw_number(ranges.warp_mm, rng)
    shape = np.broadcast_shapes(*(axis.shape for axis in grid))
    x, y, z = (
        np.asarray(
            sum(np.float32(factor) * axis for factor, axis in zip(row, moved, strict=True))
            + np.float32(warp_mm) * smooth_field(shape, WARP_DISTANCE_MM, rng),
            dtype=np.float32,
        )
        for row in matrix
    )
    return x, y, z


def organ_distance(
    patient: Patient, place: Place, rng: np.random.Generator, ranges: PatientRanges = PATIENTS
) -> Array:
    """Return the signed distance to the organ's surface, which encloses exactly its volume.

    Parameters
    ----------
    place
        Positions x, y and z of voxels of 1 mm^3 in the patient.
    """
    x, y, z = place
    rx, _, rz = patient.radius
    narrow = 1 - patient.taper * np.clip(0.5 - z / (2 * rz), 0, 1)
    distance = ellipsoid((x / narrow, y / np.sqrt(narrow), z), (0, 0, 0), patient.radius)
    length = np.sqrt(x**2 + y**2 + z**2) + 1e-3
    for _ in range(5):
        direction = rng.normal(size=3)
        a, b, c = (direction / np.linalg.norm(direction)).astype(np.float32)
        height = np.float32(draw_number(ranges.bump, rng) * rx)
        distance -= height * np.clip((a * x + b * y + c * z) / length, 0, 1) ** 3
    if patient.middle_lobe:
        lobe = ellipsoid(place, (0, -0.1 * rx, 0.75 * rz), [0.38 * rx] * 3)
        distance = np.minimum(distance, lobe)
    distance = np.maximum(distance, -rectum_distance(patient, place))
    inside = round(patient.volume_ml * 1000)
    return np.asarray(distance - np.partition(distance, inside, axis=None)[inside], np.float32)


def central_distance(patient: Patient, place: Place) -> Array:
    """Return the signed distance to the central zone, which is in the front and upper part."""
    _, ry, rz = patient.radius
    share = patient.central_share
    radius = [share * side for side in patient.radius]
    return ellipsoid(place, (0, -(0.9 - share) * ry, 0.12 * rz), radius)


def rectum_distance(patient: Patient, place: Place) -> Array:
    """Return the signed distance to the outer wall of the rectum, a bent tube behind the organ."""
    x, y, z = place
    centre = 0.9 * patient.radius[1] + patient.rectum
    bent = y - centre - 0.004 * (z + 10) ** 2
    return ellipsoid((x, bent, z), (0, 0, 0), (1.1 * patient.rectum, patient.rectum, INFINITE))


def neighbours(patient: Patient, place: Place) -> Iterator[tuple[str, Array]]:
    """Yield the tissues around the organ and their signed distances; a later one covers an earlier."""
    yield "fat", ellipsoid(place, (0, 5, 0), (175, 112, INFINITE))
    yield from _muscles(patient, place)
    yield from _bones(patient, place)
    x, y, z = place
    rx, ry, rz = patient.radius
    side = np.abs(x)
    yield "vessel", ellipsoid((side, y + 0.3 * z, z), (52, -64, 0), (5, 5, INFINITE))
    yield "bulb", ellipsoid(place, (0, 8, -rz - 16), (11, 11, 10))
    size = patient.bladder
    bladder = ellipsoid(
        place, (0, -8, rz + 20 * size - 3), (40 * size, 0.4 * ry + 22 * size, 22 * size)
    )
    yield "bladder wall", bladder
    yield "urine", bladder + 4
    # Behind the bladder, above the organ: two long tubes, lower in the middle than at the sides.
    rise = z - 0.35 * side
    yield "vesicle", ellipsoid((side, y, rise), (0.55 * rx, 0.75 * ry, 0.85 * rz), (0.7 * rx, 7, 7))
    rectum = rectum_distance(patient, place)
    yield "rectum wall", rectum
    yield "rectum content", rectum + 3.5


def _muscles(patient: Patient, place: Place) -> Iterator[tuple[str, Array]]:
    x, y, z = place
    rx, _, rz = patient.radius
    side = np.abs(x)
    for centre, radius in (
        ((60, 84, 0), (56, 28, INFINITE)),  # gluteus maximus
        ((48, -50, -15), (30, 15, 45)),  # pectineus, obturator externus
        ((24, -86, 0), (28, 8, INFINITE)),  # rectus abdominis
        ((100, -45, 0), (30, 34, INFINITE)),  # iliopsoas and thigh
        ((100, 45, 0), (24, 30, INFINITE)),  # gluteus medius
    ):
        yield "muscle", ellipsoid((side, y, z), centre, radius)
    slanted = side + 0.25 * y
    yield "muscle", ellipsoid((slanted, y, z), (47, -2, 0), (10, 44, 90))  # obturator internus
    # The levator ani: a funnel around organ and rectum that narrows downwards.
    wide = np.clip(rx + 4 + 0.3 * (z + 5), 12, 45)
    funnel = (np.sqrt((x / wide) ** 2 + ((y - 18) / (wide + 14)) ** 2) - 1) * wide
    sheet = np.abs(funnel) - 2.2
    yield "muscle", np.asarray(np.maximum(np.maximum(sheet, z - 0.7 * rz), -22 - y), np.float32)
    yield "muscle", ellipsoid(place, (0, 0, -rz - 6), (16, 14, 5))  # urogenital diaphragm


def _bones(patient: Patient, place: Place) -> Iterator[tuple[str, Array]]:
    x, y, z = place
    front = -patient.radius[1] - 22
    side = np.abs(x)
    for position, centre, radius in (
        ((side, y, z), (84, -4, 22), (27, 27, 42)),  # femoral head and acetabulum
        ((side, y, z), (60, 36, -28), (14, 18, 40)),  # ischium
        ((side, y + 0.35 * side, z - 0.3 * side), (22, front + 6, -8), (20, 9, 17)),  # pubis
        (place, (0, 84, 22), (26, 12, 45)),  # sacrum
    ):
        bone = ellipsoid(position, centre, radius)
        yield "cortex", bone
        yield "marrow", bone + 2.5
