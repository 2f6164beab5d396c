"""Predict with the members of a run, and compare a prediction with the drawn label map."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedcross.ensemble.network import blend
from fedcross.errors import BundleError, ConfigError, PrecisionError
from fedcross.model.memory_format import choose_memory_format
from fedcross.model.network_state import set_state
from fedcross.model.networks import build_network
from fedcross.runtime.device import resolve_precision
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.agreement import dice
from fedcross.volumes.structure import Structure

Dices = dict[str, float]
Array = NDArray[np.float32]


@dataclass(frozen=True)
class Predictor:
    """The networks of one or several members, ready to predict.

    Attributes
    ----------
    networks
        The members' networks on `device`, in evaluation mode.
    config
        The run's configuration.
    device
        Device to compute on.
    """

    networks: tuple[nn.Module, ...]
    config: TrainingConfig
    device: torch.device

    def only(self, index: int) -> "Predictor":
        """A predictor with the network of member `index` alone."""
        return replace(self, networks=(self.networks[index],))

    def probabilities(self, volume: Array) -> tuple[Array, list[Array]]:
        """Predict a volume.

        Parameters
        ----------
        volume
            (channels, D, H, W) float32, normalised intensities on the model's grid.

        Returns
        -------
        mean : ndarray
            (C, D, H, W) float32, the mean of the members' probabilities; C are the classes.
        each : list of ndarray
            The probabilities of each member, of the same shape.

        Raises
        ------
        ConfigError
            If a network computes a number that is not finite: the training has diverged.
        """
        precision = resolve_precision(self.config.training.precision, self.device)
        try:
            each = [
                blend(
                    network,
                    volume,
                    patch_size=self.config.preprocessing.patch_size,
                    overlap=self.config.preprocessing.overlap,
                    classes=self.config.network.classes,
                    device=self.device,
                    precision=precision,
                )
                for network in self.networks
            ]
        except (BundleError, PrecisionError) as error:
            raise ConfigError(
                "The training has diverged: a network computes numbers that are not finite.",
                "Lower training.learning_rate, or set training.precision to fp32 if it is not. Finished "
                "rounds are kept.",
            ) from error
        return np.mean(each, axis=0), each


def load_predictor(
    members: Sequence[MemberState], config: TrainingConfig, device: torch.device
) -> Predictor:
    """Build the networks of all members on `device`."""
    return Predictor(
        tuple(_load_network(member, config, device) for member in members), config, device
    )


def drawn_structures(structures: Sequence[Structure], missing: Collection[int]) -> list[Structure]:
    """The structures whose labels are not in `missing`, in their order."""
    return [structure for structure in structures if structure.label not in missing]


def dice_by_structure(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structures: Sequence[Structure]
) -> Dices:
    """Compute the Dice of two label maps of the same shape.

    Parameters
    ----------
    found, truth
        Predicted and drawn label map, (D, H, W) uint8.
    structures
        The structures to compare.

    Returns
    -------
    dict of str to float
        Structure's name to its Dice, from 0 to 1; 1 if it is in neither label map.
    """
    return {s.name: dice(found == s.label, truth == s.label) for s in structures}


def _load_network(member: MemberState, config: TrainingConfig, device: torch.device) -> nn.Module:
    with torch.device("meta"):
        network = build_network(config.network)
    set_state(network, member.weights, assign=True)
    network = network.eval().requires_grad_(False).to(device)
    # PyTorch's own types lack this overload.
    return network.to(memory_format=choose_memory_format(network, device))  # type: ignore[call-overload, no-any-return]
