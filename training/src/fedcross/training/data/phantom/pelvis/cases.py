"""One case of the pelvis federation: an image and the label map of the organ."""

import numpy as np
import SimpleITK as sitk

from fedcross.training.data.phantom.pelvis.anatomy import (
    Place,
    draw_number,
    draw_patient,
    organ_distance,
    place_patient,
    rectum_distance,
)
from fedcross.training.data.phantom.pelvis.scanner import acquire, coil_profile, plan_slices
from fedcross.training.data.phantom.pelvis.tables import HOSPITALS
from fedcross.training.data.phantom.pelvis.tissue import paint_tissue

HALF_HEIGHT_MM = 50


def make_pelvis_case(site: str, rng: np.random.Generator) -> tuple[sitk.Image, sitk.Image]:
    """Draw the image and the label map of one case.

    The anatomy is drawn on a grid of 1 mm and then acquired in thick slices.

    Parameters
    ----------
    site
        Name of a hospital of `HOSPITALS`.
    rng
        Generator of all random numbers; the same state gives the same case.

    Returns
    -------
    tuple of SimpleITK.Image
        Image (int16) and label map (uint8; 1 is the organ) in LPS orientation on one grid. The whole
        organ is inside, and its volume is in `VOLUME_ML`.
    """
    hospital = HOSPITALS[site]
    fov_mm = draw_number(hospital.fov_mm, rng)
    grid = _open_grid(round(fov_mm / 2), HALF_HEIGHT_MM)
    patient = draw_patient(rng, balloon=hospital.coil == "endorectal")
    place = place_patient(grid, rng)
    organ = organ_distance(patient, place, rng)
    levels = np.flatnonzero((organ < 0).any(axis=(1, 2))) - HALF_HEIGHT_MM
    slices = plan_slices(hospital, fov_mm, (float(levels[0]), float(levels[-1])), rng)

    # Only the slab that the slices cover is painted.
    low, high = slices.slab(HALF_HEIGHT_MM)
    x, y, z = (axis[low:high] for axis in place)
    grid, organ = (grid[0], grid[1], grid[2][low:high]), organ[low:high]
    tissue = paint_tissue(patient, (x, y, z), organ, column=list(HOSPITALS).index(site), rng=rng)
    rectum = rectum_distance(patient, (x, y, z))
    tissue *= coil_profile(hospital, grid, rectum, rng)
    corner = (float(grid[0].min()), float(grid[1].min()), float(grid[2].min()))
    image = acquire(tissue, hospital, slices, corner, rng)
    label = (slices.sample(organ, corner) < 0).astype(np.uint8)
    return slices.image(image), slices.image(label)


def _open_grid(half_side: int, half_height: int) -> Place:
    """Open grids x, y and z of voxel positions in mm, spaced by 1 mm and centred at 0."""
    plane = np.arange(-half_side, half_side + 1, dtype=np.float32)
    height = np.arange(-half_height, half_height + 1, dtype=np.float32)
    return plane[None, None, :], plane[None, :, None], height[:, None, None]
