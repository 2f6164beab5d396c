"""Changes of an image that make an unfamiliar scan of it, for `familiarity.py`."""

from collections.abc import Callable
from functools import partial

import numpy as np
import SimpleITK as sitk

Change = Callable[[sitk.Image, np.random.Generator], sitk.Image]


def inverted(image: sitk.Image, _: np.random.Generator) -> sitk.Image:
    """Return the image with bright and dark exchanged."""
    return sitk.InvertIntensity(image, maximum=float(sitk.GetArrayViewFromImage(image).max()))


def noisy(image: sitk.Image, rng: np.random.Generator, *, share: float) -> sitk.Image:
    """Return the image with Gaussian noise, a share of the image's standard deviation."""
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    noise = rng.normal(0, share * values.std(), values.shape)
    changed = sitk.GetImageFromArray((values + noise).astype(np.float32))
    changed.CopyInformation(image)
    return changed


def cut_off(image: sitk.Image, rng: np.random.Generator, *, share: float) -> sitk.Image:
    """Return the image without a share of its slices, at a random end of a random axis."""
    size, start, axis = list(image.GetSize()), [0, 0, 0], int(rng.integers(3))
    kept = max(1, round(size[axis] * (1 - share)))
    start[axis] = int(rng.integers(2)) * (size[axis] - kept)
    size[axis] = kept
    return sitk.RegionOfInterest(image, size, start)


def scaled(image: sitk.Image, _: np.random.Generator, *, factor: float) -> sitk.Image:
    """Return the image with another voxel spacing in its header."""
    changed = sitk.Image(image)
    changed.SetSpacing([factor * step for step in image.GetSpacing()])
    return changed


CHANGES: dict[str, Change] = {
    "inverted": inverted,
    "noise, half a standard deviation": partial(noisy, share=0.5),
    "half cut off": partial(cut_off, share=0.5),
    "spacing x 1.5": partial(scaled, factor=1.5),
    "spacing / 1.5": partial(scaled, factor=1 / 1.5),
    "noise, a tenth (weak)": partial(noisy, share=0.1),
    "a tenth cut off (weak)": partial(cut_off, share=0.1),
    "spacing x 1.1 (weak)": partial(scaled, factor=1.1),
}
