"""A member: what travels from site to site.

Weights, optimiser state and progress, as plain tensors: the same for a checkpoint on disk and for
an engine that sends members over a wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedcross.errors import CheckpointError
from fedcross.model.architecture import Architecture
from fedcross.model.networks import build_network, initialise
from fedcross.runtime.seeding import torch_generator

WEIGHTS, OPTIMIZER = "weights.", "optimizer."
INDEX, EPOCHS, ROUNDS, LAST_SITE = "index", "epochs_done", "rounds_done", "last_site"


@dataclass(frozen=True)
class MemberState:
    """One member between two visits; never changed in place.

    Attributes
    ----------
    index
        Which member, from 0.
    weights
        The network's state dict on the CPU.
    optimizer
        ``<slot>.<parameter>`` to tensor, for instance ``momentum_buffer.enc1.conv.conv.0.weight``;
        empty before the first step.
    epochs_done
        Local epochs trained so far.
    rounds_done
        Visits so far.
    last_site
        Name of the site visited last; None before the first visit.
    """

    index: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    epochs_done: int = 0
    rounds_done: int = 0
    last_site: str | None = None

    def state(self) -> dict[str, Tensor]:
        """Weights and optimiser state as one flat dict, under the names they have in `to_tensors`."""
        return {
            **{WEIGHTS + key: tensor for key, tensor in self.weights.items()},
            **{OPTIMIZER + key: tensor for key, tensor in self.optimizer.items()},
        }

    def to_tensors(self) -> dict[str, Tensor]:
        """Everything as one flat dict of contiguous tensors; the site's name as UTF-8 bytes."""
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
        """The inverse of `to_tensors`.

        Raises
        ------
        CheckpointError
            If a part is missing or is none of a member's.
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
    """A member that has not trained: weights drawn from (seed, index), no optimiser state."""
    network = build_network(architecture)
    initialise(network, torch_generator("weights", seed, index))
    return MemberState(index=index, weights=network.state_dict(), optimizer={})


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
