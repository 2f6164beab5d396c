"""Phantoms: synthetic volumes with label maps, written to disk.

Each case shows one organ inside a body, with a bright neighbour that touches it above and a dark one
behind it. The organ's contrast fades towards its lower pole, like a prostate's at its apex, so that
the border there is uncertain. How a hospital acquires and annotates its images is its style, see
`fedcross.training.data.phantom.styles`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from fedcross.training.data.phantom.files import write_case
from fedcross.training.data.phantom.styles import SITE_STYLES, SiteStyle, Triple, style_at

ORIENTATIONS = ("LPS", "RAS", "LSA", "PLS")
BRIGHTEST = 2.5  # approximate largest intensity; the surrounding tissue has 1
Array = NDArray[np.float64]


def make_case(style: SiteStyle, rng: np.random.Generator) -> tuple[sitk.Image, sitk.Image]:
    """Draw the image and the label map of one case.

    Parameters
    ----------
    style
        How the site acquires and annotates its images.
    rng
        Generator of all random numbers; the same state gives the same case.

    Returns
    -------
    tuple of SimpleITK.Image
        Image (int16) and label map (uint8; 1 is the organ) in LPS orientation on one grid.
    """
    z, y, x = _millimetre_grid(style.spacing_mm, style.fov_mm)
    centre = rng.uniform(-6, 6, 3)
    radius = np.asarray(style.radius_mm) * rng.uniform(0.85, 1.15, 3)
    organ_mm = _bumpy_ellipsoid(x - centre[0], y - centre[1], z - centre[2], radius, rng)
    neighbour_mm = _ellipsoid(
        x - centre[0], y - centre[1], z - (centre[2] + radius[2] + 10), radius * (1.0, 0.9, 0.75)
    )
    rectum_mm = _ellipsoid(
        x - centre[0], y - (centre[1] + radius[1] + 9), z - centre[2], np.array([10.0, 9.0, 40.0])
    )
    body_mm = _ellipsoid(x, y, z * 0.2, np.array([44.0, 40.0, 40.0]))

    # The organ's contrast fades towards its lower pole.
    fade = 1 / (1 + np.exp(-((z - centre[2]) / radius[2] + 0.75) / 0.12))
    tissue = _soft(body_mm) * np.ones_like(organ_mm)
    tissue += _soft(neighbour_mm) * (style.neighbour - 1)
    tissue += _soft(organ_mm) * (1 - _soft(neighbour_mm)) * (style.organ - 1) * (0.15 + 0.85 * fade)
    tissue -= _soft(rectum_mm) * (1 - _soft(organ_mm)) * 0.6
    intensity = _apply_contrast(tissue, style) * _bias_field(tissue.shape, style.bias, rng)
    intensity += rng.normal(0.0, style.noise, tissue.shape)

    drawn_mm = organ_mm
    if style.roundness > 0:
        plain_mm = _ellipsoid(x - centre[0], y - centre[1], z - centre[2], radius)
        drawn_mm = (1 - style.roundness) * organ_mm + style.roundness * plain_mm
    label = (drawn_mm < style.margin_mm) & (neighbour_mm > 0)
    if style.apex > 0:
        label &= z > centre[2] - (1 - style.apex) * radius[2]
    return _to_images(intensity * style.gain, label, style)


def _to_images(
    intensity: Array, label: NDArray[np.bool_], style: SiteStyle
) -> tuple[sitk.Image, sitk.Image]:
    """Store intensities, limited to the range of int16, and label as images on the style's grid."""
    stored = np.iinfo(np.int16)
    intensity = np.clip(np.round(intensity), stored.min, stored.max)
    image = sitk.GetImageFromArray(intensity.astype(np.int16))
    mask = sitk.GetImageFromArray(label.astype(np.uint8))
    for picture in (image, mask):
        picture.SetSpacing(style.spacing_mm)
        picture.SetOrigin([-side / 2 for side in style.fov_mm])
    return image, mask


def write_synthetic_federation(
    folder: Path,
    *,
    cases_per_site: int,
    seed: int,
    shift: float = 1.0,
    styles: Mapping[str, SiteStyle] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sequence[str]:
    """Write a federation as NIfTI: ``folder/<site>/images`` and ``folder/<site>/labels``.

    If `shift` is above 0, consecutive sites store their volumes with different orders of axes.

    Parameters
    ----------
    folder
        Folder to write to; created if it does not exist. Files of the same names are replaced.
    cases_per_site
        Number of cases per site.
    seed
        Seed of the random numbers. Every case has its own generator, so that adding cases or sites
        does not change the others.
    shift
        How much the sites differ: 0 not at all, 1 as defined by `styles`, above 1 exaggerated.
    styles
        Site's name to its style; None means `SITE_STYLES`.
    progress
        Called with (cases written, cases in total) after every case.

    Returns
    -------
    sequence of str
        The sites' names.

    Raises
    ------
    OutputError
        If a volume cannot be written.
    """
    chosen = SITE_STYLES if styles is None else styles
    total = cases_per_site * len(chosen)
    for site_index, (site, style) in enumerate(chosen.items()):
        for case_index in range(cases_per_site):
            rng = np.random.default_rng([seed, site_index, case_index])
            image, mask = make_case(style_at(style, shift), rng)
            orientation = ORIENTATIONS[site_index % len(ORIENTATIONS) if shift else 0]
            stored = (sitk.DICOMOrient(picture, orientation) for picture in (image, mask))
            write_case(folder / site, case_index, *stored)
            if progress is not None:
                progress(site_index * cases_per_site + case_index + 1, total)
    return tuple(chosen)


def _apply_contrast(tissue: Array, style: SiteStyle) -> Array:
    """Apply the style's contrast curve and, if it is inverted, swap bright and dark."""
    if style.gamma != 1:
        tissue = (np.clip(tissue, 0, None) / BRIGHTEST) ** style.gamma * BRIGHTEST
    return BRIGHTEST - tissue if style.inverted else tissue


def _millimetre_grid(spacing_mm: Triple, fov_mm: Triple) -> list[NDArray[np.float64]]:
    """Open grids (z, y, x) of voxel positions in mm; the origin is the middle of the volume."""
    axes = []
    for side, spacing in zip(fov_mm, spacing_mm, strict=True):
        count = round(side / spacing)
        axes.append(np.arange(count) * spacing - side / 2)
    x, y, z = axes
    return list(np.meshgrid(z, y, x, indexing="ij", sparse=True))


def _ellipsoid(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    radius: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Approximate signed distance in mm to an ellipsoid's surface, negative inside."""
    level = np.sqrt((x / radius[0]) ** 2 + (y / radius[1]) ** 2 + (z / radius[2]) ** 2)
    return np.asarray((level - 1) * radius.min())


def _bumpy_ellipsoid(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    radius: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """An ellipsoid whose radius varies with direction by a few smooth random lobes."""
    distance = _ellipsoid(x, y, z, radius)
    length = np.sqrt(x**2 + y**2 + z**2) + 1e-6
    for _ in range(4):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        cosine = (x * direction[0] + y * direction[1] + z * direction[2]) / length
        distance = distance - rng.uniform(-2.0, 2.0) * cosine**3
    return np.asarray(distance)


def _soft(distance_mm: NDArray[np.float64], width_mm: float = 1.5) -> NDArray[np.float64]:
    """1 inside, 0 outside, with a smooth step of about `width_mm` at the surface (partial volume)."""
    return np.asarray(1 / (1 + np.exp(np.clip(distance_mm / (width_mm / 3), -40, 40))))


def _bias_field(
    shape: tuple[int, ...], amplitude: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Smooth multiplicative field with values from 1 - `amplitude` to 1 + `amplitude`."""
    coarse = rng.normal(size=(3, 3, 3))
    field = ndimage.zoom(coarse, [n / 3 for n in shape], order=3, grid_mode=True, mode="nearest")
    return np.asarray(1 + amplitude * field / np.abs(field).max())
