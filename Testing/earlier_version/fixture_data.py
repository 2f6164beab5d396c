"""The data behind the files of the earlier version: two sites with three cases each, and one volume.

It must not change: the interrupted run in run.zip continues with these cases.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

SPACING_MM = (2.0, 2.0, 2.5)
SIZE = (36, 20, 18)  # x, y, z
SITES, CASES = 2, 3


def make_case(rng: np.random.Generator) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """A bright ball in noise, and its label map; (z, y, x)."""
    z, y, x = np.ogrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    centre = np.array(SIZE[::-1]) / 2 + rng.uniform(-1, 1, 3)
    ball = ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) < 6.0**2
    image = 100 + 80 * ball + rng.normal(0, 8, ball.shape)
    return image.astype(np.int16), ball.astype(np.uint8)


def write_volume(
    path: Path, array: NDArray[np.generic], origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin(origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_sites(folder: Path) -> None:
    for site in range(SITES):
        rng = np.random.default_rng(site)
        for number in range(CASES):
            image, label = make_case(rng)
            write_volume(folder / f"s{site}" / "images" / f"case-{number}.nii.gz", image)
            write_volume(folder / f"s{site}" / "labels" / f"case-{number}.nii.gz", label)


def write_segmented_volume(path: Path) -> None:
    """The volume of result.zip: 24 x 16 x 12 voxels, smaller than a patch along z."""
    image, _ = make_case(np.random.default_rng(99))
    write_volume(path, image[3:15, 2:18, 6:30], (-24.0, -16.0, 30.0))
