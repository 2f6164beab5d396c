"""Training patches of every site as they enter the network, to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.runtime.seeding import torch_generator
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.cases import find_cases
from fedcross.training.data.check.report import Picture
from fedcross.training.data.check.slices import coarsest_axis, draw_slice
from fedcross.training.data.sites import load_volume
from fedcross.training.step.custom_parts import make_custom_augmentation
from fedcross.training.step.local_training import draw_patches
from fedcross.training.step.sampling import sample_batch

SHOWN_SCORES = 2.5
"""Black and white of the pictures: minus and plus so many standard deviations of the volume."""


@dataclass(frozen=True)
class SitePatches:
    """Patches of one training case.

    Attributes
    ----------
    site, case
        Names of the site and the case.
    pictures
        The middle slice of the first channel of each patch, across the axis with the largest spacing.
    """

    site: str
    case: str
    pictures: tuple[Picture, ...]


def draw_site_patches(config: TrainingConfig, count: int) -> list[SitePatches]:
    """Draw patches of the first training case of every site, as the training does.

    Parameters
    ----------
    config
        The federation's configuration.
    count
        Number of patches for each site, at least 1.

    Returns
    -------
    list of SitePatches
        In the order of the sites; without sites whose cases cannot be read or that train no case.

    Raises
    ------
    PluginError
        If the augmentation of another package is not installed, not allowed, or does not work.
    """
    patches = []
    change_batch = make_custom_augmentation(config.augmentation.plugin)
    for site in config.sites:
        try:
            names = config.preprocessing.channel_names
            cases = find_cases(site, config.data_root, config.seed, names)
            if not cases.train:
                continue
            case = cases.train[0]
            volume = load_volume(
                case, site.mapping(config.structures), config.preprocessing, site.name
            )
        except DataError:
            continue  # the check of the cases reports it
        options = {"patches_per_case": count}
        few = config.model_copy(update={"training": config.training.model_copy(update=options)})
        generator = torch_generator("shown", config.seed, site.name)
        draws = draw_patches([volume], few, generator)
        x, y, z = config.preprocessing.patch_size
        spacing = config.preprocessing.spacing_mm
        images, labels = sample_batch([volume], draws, patch=(z, y, x), spacing_mm=spacing)
        if change_batch is not None:
            images, labels = change_batch(images, labels, generator)
        pictures = [
            _picture(image[0].numpy(), label.numpy().astype(np.uint8), spacing[::-1])
            for image, label in zip(images, labels, strict=True)
        ]
        patches.append(SitePatches(site.name, case.name, tuple(pictures)))
    return patches


def _picture(
    image: NDArray[np.float32], label: NDArray[np.uint8], spacing_zyx: Sequence[float]
) -> Picture:
    axis = coarsest_axis(spacing_zyx)
    window = (-SHOWN_SCORES, SHOWN_SCORES)
    return draw_slice(image, label, spacing_zyx, axis, image.shape[axis] // 2, window)
