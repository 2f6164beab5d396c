"""The numbers of the pelvis federation: hospitals, tissues and patients.

Every range is (lowest, highest); a case draws a number from it uniformly, or uniformly on a logarithmic
scale where the field says so.
"""

from dataclasses import dataclass
from typing import Literal

Range = tuple[float, float]

SLICES = (12, 24)
"""Smallest and largest number of slices of a volume."""

VOLUME_ML: Range = (20.0, 90.0)
"""Smallest and largest volume of the labelled organ, mL."""


@dataclass(frozen=True)
class Hospital:
    """How one synthetic hospital acquires its images.

    Attributes
    ----------
    coil
        Receiver: ``endorectal`` (in the rectum; very bright beside it), ``array`` (brighter towards the
        front and the back) or ``body`` (nearly uniform).
    coil_gain
        Largest signal of the coil, relative to the signal far from it; logarithmic.
    plane_mm
        Voxel size in the plane.
    slice_mm
        Distance of the slices, which is also their thickness.
    fov_mm
        Side of the square field of view.
    blur_mm
        Full width at half maximum of the blur in the plane.
    noise
        Standard deviation of the noise relative to fat at a signal of 1; logarithmic.
    bias
        Standard deviation of the logarithm of a smooth multiplicative field, beside the coil's profile.
    gamma
        Exponent of the contrast curve; logarithmic.
    gain
        Factor from relative intensities to stored numbers.
    """

    coil: Literal["endorectal", "array", "body"]
    coil_gain: Range
    plane_mm: Range
    slice_mm: Range
    fov_mm: Range
    blur_mm: Range
    noise: Range
    bias: Range
    gamma: Range
    gain: float


HOSPITALS: dict[str, Hospital] = {
    # High resolution with an endorectal coil, small field of view.
    "site-1": Hospital(
        coil="endorectal",
        coil_gain=(3.0, 9.0),
        plane_mm=(0.6, 0.65),
        slice_mm=(3.0, 3.0),
        fov_mm=(140.0, 160.0),
        blur_mm=(0.8, 1.2),
        noise=(0.05, 0.12),
        bias=(0.05, 0.2),
        gamma=(0.8, 1.25),
        gain=300.0,
    ),
    # Array of surface coils, sharp and quiet, bright fat.
    "site-2": Hospital(
        coil="array",
        coil_gain=(1.3, 2.5),
        plane_mm=(0.7, 0.8),
        slice_mm=(3.0, 3.3),
        fov_mm=(180.0, 200.0),
        blur_mm=(0.9, 1.4),
        noise=(0.03, 0.08),
        bias=(0.05, 0.2),
        gamma=(0.7, 1.2),
        gain=900.0,
    ),
    # Body coil: coarse, noisy, thick slices, fat suppressed.
    "site-3": Hospital(
        coil="body",
        coil_gain=(1.0, 1.15),
        plane_mm=(1.0, 1.2),
        slice_mm=(3.8, 4.0),
        fov_mm=(210.0, 240.0),
        blur_mm=(1.6, 2.6),
        noise=(0.05, 0.11),
        bias=(0.1, 0.35),
        gamma=(0.8, 1.4),
        gain=120.0,
    ),
    # Array of surface coils; urine and peripheral zone are darker than muscle.
    "site-4": Hospital(
        coil="array",
        coil_gain=(1.5, 3.5),
        plane_mm=(0.8, 0.95),
        slice_mm=(3.4, 3.6),
        fov_mm=(170.0, 200.0),
        blur_mm=(1.1, 2.0),
        noise=(0.05, 0.12),
        bias=(0.1, 0.3),
        gamma=(0.8, 1.3),
        gain=60.0,
    ),
}


@dataclass(frozen=True)
class Tissue:
    """One tissue.

    Attributes
    ----------
    brightness
        Mean brightness at the four hospitals, in the order of `HOSPITALS`; fat has about 1 where it is
        not suppressed.
    texture
        Standard deviation of the texture relative to the brightness.
    grain_mm
        Distance of the control points of the texture.
    """

    brightness: tuple[float, float, float, float]
    texture: float
    grain_mm: Literal[2, 5]


TISSUES: dict[str, Tissue] = {
    "fat": Tissue((0.90, 1.10, 0.50, 1.00), 0.12, 5),
    "muscle": Tissue((0.32, 0.28, 0.30, 0.62), 0.10, 2),
    "cortex": Tissue((0.12, 0.10, 0.12, 0.15), 0.10, 2),
    "marrow": Tissue((0.62, 0.75, 0.40, 0.85), 0.15, 5),
    "vessel": Tissue((0.85, 0.30, 0.95, 0.40), 0.15, 2),
    "plexus": Tissue((0.85, 0.80, 0.80, 0.50), 0.35, 2),
    "bladder wall": Tissue((0.42, 0.38, 0.40, 0.60), 0.10, 2),
    "urine": Tissue((1.25, 1.45, 1.50, 0.25), 0.03, 5),
    "vesicle": Tissue((0.95, 1.05, 1.05, 0.45), 0.35, 2),
    "bulb": Tissue((0.95, 1.00, 1.05, 0.45), 0.10, 2),
    "rectum wall": Tissue((0.48, 0.50, 0.52, 0.55), 0.15, 2),
    "rectum content": Tissue((0.06, 0.55, 0.60, 0.50), 0.30, 5),
    "peripheral zone": Tissue((0.90, 1.00, 1.00, 0.46), 0.16, 2),
    "central zone": Tissue((0.55, 0.58, 0.62, 0.68), 0.28, 5),
    "stroma": Tissue((0.34, 0.32, 0.36, 0.58), 0.12, 2),
    "capsule": Tissue((0.30, 0.28, 0.32, 0.55), 0.05, 2),
    "lesion": Tissue((0.48, 0.45, 0.50, 0.58), 0.12, 2),
}


@dataclass(frozen=True)
class PatientRanges:
    """How the patients of every hospital differ.

    Attributes
    ----------
    volume_ml
        Volume of the organ; logarithmic. It stays inside `VOLUME_ML` on every grid.
    width, height
        Left-right and head-foot diameter of the organ relative to those of a ball of equal volume;
        logarithmic. The third diameter follows from the volume.
    taper
        Share by which the organ is narrower at its lower end.
    bump
        Largest height of a bump of the organ relative to its mean radius.
    central_share
        Radii of the central zone relative to those of the organ.
    scale
        Size of the pelvis; logarithmic.
    turn_rad, tilt_rad
        Rotation in the plane, and about the other two axes.
    offset_mm
        Distance of the organ from the middle of the field of view along each axis.
    warp_mm
        Standard deviation of the smooth displacement of all structures.
    bladder
        Size of the bladder relative to a half-full one.
    rectum_mm
        Radius of the rectum; an endorectal coil adds `balloon_mm`.
    balloon_mm
        What an endorectal coil adds to the radius of the rectum.
    brightness
        Standard deviation of the logarithm of every tissue's brightness.
    border_mm
        Width of the organ's border where it is sharp and where it is blurred.
    plexus_mm
        Largest thickness of the veins beside the organ, which can be as bright as its peripheral zone.
    """

    volume_ml: Range = (22.0, 85.0)
    width: Range = (1.0, 1.3)
    height: Range = (0.82, 1.05)
    taper: Range = (0.05, 0.35)
    bump: Range = (-0.15, 0.15)
    central_share: Range = (0.5, 0.82)
    scale: Range = (0.88, 1.12)
    turn_rad: Range = (-0.15, 0.15)
    tilt_rad: Range = (-0.1, 0.1)
    offset_mm: Range = (-8.0, 8.0)
    warp_mm: Range = (1.5, 4.0)
    bladder: Range = (0.6, 1.3)
    rectum_mm: Range = (10.0, 18.0)
    balloon_mm: Range = (3.0, 7.0)
    brightness: float = 0.18
    border_mm: Range = (1.0, 7.0)
    plexus_mm: Range = (3.0, 9.0)


PATIENTS = PatientRanges()
