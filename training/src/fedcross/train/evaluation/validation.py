"""Validate members between rounds: Dice on the validation cases, on the model's grid.

The validation cases are in memory on that grid already; the test uses the images' own grids instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch

from fedcross.strategies.member import MemberState
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.data.volumes import Site, Volume
from fedcross.train.evaluation.prediction import (
    Array,
    dice_by_structure,
    drawn_structures,
    load_predictor,
)

Show = Callable[[str, Volume, list[Array]], None]


@dataclass(frozen=True)
class Validation:
    """Dice on the validation cases.

    Attributes
    ----------
    mean_dice
        Mean over all cases of all sites; a case's Dice is the mean over its structures.
    by_site
        Site to the mean over its cases; sites without validation cases are left out.
    """

    mean_dice: float
    by_site: dict[str, float]


def validate(
    members: Sequence[MemberState],
    sites: Sequence[Site],
    config: TrainingConfig,
    device: torch.device,
    show: Show | None = None,
) -> Validation | None:
    """Compute the Dice on the validation cases of all sites.

    The prediction is the mean of the members' probabilities. For a method with personal models it is
    that of member k alone at site k.

    Parameters
    ----------
    members
        The members; with personal models one per site, in the sites' order.
    sites
        The sites with their validation cases.
    config
        The run's configuration.
    device
        Device to compute on.
    show
        Called for every case with the site's name, the case and the probabilities of each member,
        (C, D, H, W) float32.

    Returns
    -------
    Validation or None
        None if no site has validation cases.
    """
    if not any(site.validation for site in sites):
        return None
    predictor = load_predictor(members, config, device)
    by_site: dict[str, list[float]] = {}
    for index, site in enumerate(sites):
        local = predictor.only(index) if config.method.is_personal else predictor
        for volume in site.validation:
            mean, each = local.probabilities(volume.image.numpy())
            if show is not None:
                show(site.name, volume, each)
            found = mean.argmax(axis=0).astype(np.uint8)
            structures = drawn_structures(config.structures, volume.missing)
            scores = dice_by_structure(found, volume.label.numpy(), structures)
            by_site.setdefault(site.name, []).append(fmean(scores.values()))
    everything = [score for scores in by_site.values() for score in scores]
    return Validation(fmean(everything), {name: fmean(scores) for name, scores in by_site.items()})
