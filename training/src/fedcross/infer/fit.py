"""Warnings about images that do not look like those that the bundle was trained on."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from fedcross.contract.fit import (
    Wanted,
    extent_warnings,
    intensity_warnings,
    measure_intensities,
    same_volume_warning,
    spacing_warnings,
)
from fedcross.volumes.grid import Grid
from fedcross.volumes.preprocessing import Preprocessing

_MODALITY = "0008|0060"


def fit_warnings(
    images: Sequence[sitk.Image], oriented: Grid, preprocessing: Preprocessing
) -> list[str]:
    """Return why the images of a case do not fit a bundle, one sentence each.

    Parameters
    ----------
    images
        The image of each channel, as it was read.
    oriented
        Grid of the first image, with its axes in the order of the patient's.
    preprocessing
        Settings of the bundle.

    Returns
    -------
    list of str
        Empty if they fit. With several channels each sentence names its channel.
    """
    wanted = Wanted(preprocessing.spacing_mm, preprocessing.patch_size)
    names, found = preprocessing.channel_names, []
    for index, (name, image) in enumerate(zip(names, images, strict=True)):
        sentences = []
        if index == 0:
            sentences += spacing_warnings(oriented.spacing_mm, wanted)
            sentences += extent_warnings(oriented.size, oriented.spacing_mm, wanted)
        sentences += intensity_warnings(
            measure_intensities(sitk.GetArrayViewFromImage(image)),
            image.GetMetaData(_MODALITY).strip() if image.HasMetaDataKey(_MODALITY) else "",
            preprocessing.modalities[index],
            intensity=preprocessing.intensity,
        )
        prefix = f"{name}: " if len(images) > 1 else ""
        found += [f"{prefix}{sentence}" for sentence in sentences]
        same = next((n for n in range(index) if _is_same(images[n], image)), None)
        if same is not None:
            found.append(same_volume_warning(names[same], name))
    return found


def _is_same(one: sitk.Image, other: sitk.Image) -> bool:
    return one.GetSize() == other.GetSize() and np.array_equal(
        sitk.GetArrayViewFromImage(one), sitk.GetArrayViewFromImage(other)
    )
