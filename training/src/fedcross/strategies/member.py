"""The state of a member, which is sent from site to site.

Weights, optimiser state and progress are plain tensors. A checkpoint on disk and an engine that sends
members over the network use the same tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedcross.errors import CheckpointError
from fedcross.model.architecture import Architecture, CustomArchitecture
from fedcross.model.custom_network import draw_custom_network
from fedcross.model.network_state import get_state
from fedcross.model.networks import build_network, initialise
from fedcross.runtime.seeding import seed_of, torch_generator

WEIGHTS, OPTIMIZER = "weights.", "optimizer."
INDEX, EPOCHS, ROUNDS, LAST_SITE = "index", "epochs_done", "rounds_done", "last_site"


@dataclass(frozen=True)
class MemberState:
    """One member between two visits; never changed in place.

    Attributes
    ----------
    index
        Index of the member, from 0.
    weights
        State of the network, on the CPU; see `fedcross.model.network_state`.
    optimizer
        ``<slot>.<parameter>`` to tensor, for instance ``momentum_buffer.enc1.conv.conv.0.weight``;
        empty before the first step.
    epochs_done
        Number of local epochs trained.
    rounds_done
        Number of visits.
    last_site
        Name of the site of the last visit; None before the first visit.
    """

    index: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    epochs_done: int = 0
    rounds_done: int = 0
    last_site: str | None = None

    def state(self) -> dict[str, Tensor]:
        """Return weights and optimiser state as one flat dict, with the names of `to_tensors`."""
        return {
            **{WEIGHTS + key: tensor for key, tensor in self.weights.items()},
            **{OPTIMIZER + key: tensor for key, tensor in self.optimizer.items()},
        }

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything as one flat dict of contiguous tensors; the site's name is UTF-8 bytes."""
        name = list((self.last_site or "").encode("utf-8"))
        return {
            **{key: tensor.contiguous() for key, tensor in self.state().items()},
            INDEX: torch.tensor(self.index),
            EPOCHS: torch.tensor(self.epochs_done),
            ROUNDS: torch.tensor(self.rounds_done),
            LAST_SITE: torch.tensor(name, dtype=torch.uint8),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "MemberState":
        """Return the state that `to_tensors` has turned into tensors.

        Raises
        ------
        CheckpointError
            If a part is missing.
        """
        missing = {INDEX, EPOCHS, ROUNDS, LAST_SITE} - tensors.keys()
        if missing:
            raise CheckpointError(f"A member's state lacks {', '.join(sorted(missing))}.")
        return cls(
            index=int(tensors[INDEX]),
            weights=part(tensors, WEIGHTS),
            optimizer=part(tensors, OPTIMIZER),
            epochs_done=int(tensors[EPOCHS]),
            rounds_done=int(tensors[ROUNDS]),
            last_site=bytes(tensors[LAST_SITE].tolist()).decode("utf-8") or None,
        )


def new_member(index: int, architecture: Architecture, seed: int) -> MemberState:
    """Return a member before training: weights drawn from (seed, index), no optimiser state.

    A network of another package draws its weights itself.

    Raises
    ------
    PluginError
        If such a network's package is not installed, not allowed, or does not work.
    """
    if isinstance(architecture, CustomArchitecture):
        network = draw_custom_network(architecture, seed_of("weights", seed, index))
    else:
        network = build_network(architecture)
        initialise(network, torch_generator("weights", seed, index))
    return MemberState(index=index, weights=get_state(network), optimizer={})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`; the prefix is removed from the names."""
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
