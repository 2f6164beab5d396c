"""Try the parts of a configuration that are code of other packages, before any case is read."""

import torch

from fedcross.errors import PluginError
from fedcross.model.architecture import CustomArchitecture
from fedcross.model.custom_network import draw_custom_network
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.step.custom_parts import (
    find_optimizer_slots,
    make_custom_augmentation,
    make_custom_loss,
)

SIDE = 8
"""Voxels along every axis of the patches for the loss and the augmentation."""


def try_custom_parts(config: TrainingConfig) -> None:
    """Use the network, loss, augmentation and optimiser of other packages once, on small numbers.

    Raises
    ------
    PluginError
        Names the first part whose package is not installed, not allowed, or does not work.
    """
    network, classes = config.network, config.network.classes
    if isinstance(network, CustomArchitecture):
        draw_custom_network(network, 0)
    label = (torch.arange(2 * SIDE**3) % classes).reshape(2, SIDE, SIDE, SIDE)
    if config.loss.plugin is not None:
        logits = torch.zeros(2, classes, SIDE, SIDE, SIDE, requires_grad=True)
        make_custom_loss(config.loss.plugin)(logits, label, [(), ()])
    change_batch = make_custom_augmentation(config.augmentation.plugin)
    if change_batch is not None:
        image = torch.zeros(2, network.in_channels, SIDE, SIDE, SIDE)
        _, changed = change_batch(image, label, torch.Generator().manual_seed(0))
        low, high = (int(value) for value in changed.aminmax())
        if low < 0 or high >= classes:
            raise PluginError(
                f"The augmentation {config.augmentation.plugin} must keep the labels from 0 to "
                f"{classes - 1}, got {low} to {high}."
            )
    if config.training.optimizer_plugin is not None:
        find_optimizer_slots(config.training.optimizer_plugin)
