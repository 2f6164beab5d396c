"""One visit: a member trains at a site. Every engine calls `visit`.

The result depends only on the member's state, the site's cases, the configuration and the round's
index. On a CPU a repeated visit gives the same member, bit for bit.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedcross.errors import ConfigError, DeviceError
from fedcross.model.network_state import get_state
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.step.learning_rate import learning_rate
from fedcross.training.step.local_training import AddedLoss, LocalTraining
from fedcross.training.step.optimizer import optimizer_tensors

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VisitReport:
    """Figures of one visit.

    Attributes
    ----------
    loss
        Mean training loss over the visit's patches, without the drift penalty; None if nothing was
        trained.
    samples
        Number of patches trained, without those of skipped steps.
    seconds
        Wall time in seconds.
    skipped
        Number of steps that were skipped, because their loss or gradient was not finite.
    """

    loss: float | None
    samples: int
    seconds: float
    skipped: int = 0


def visit(
    member: MemberState,
    site: Site,
    round_index: int,
    config: TrainingConfig,
    device: torch.device,
    progress: Progress | None = None,
    added: AddedLoss | None = None,
) -> tuple[MemberState, VisitReport]:
    """Train `member` at `site` for the configuration's local epochs.

    Parameters
    ----------
    member
        State of the member before the visit; not changed.
    site
        Site whose training cases are used.
    round_index
        Index of the round, from 0. It decides the learning rate and, together with the seed and the
        member's index, the patches.
    config
        Configuration of the run.
    device
        Device that computes.
    progress
        Called after every epoch with (epochs done, epochs of this visit).
    added
        Loss that is added to that on the labels, in place of the method's drift penalty; None is that
        penalty.

    Returns
    -------
    member : MemberState
        State of the member after the visit, on the CPU.
    report : VisitReport
        Loss, samples and time.

    Raises
    ------
    ConfigError
        If the loss or the gradient is NaN or infinite in all steps of an epoch, or a weight becomes
        so; the member before the visit is unharmed.
    DeviceError
        If the GPU's memory does not suffice.
    """
    try:
        return _visit(member, site, round_index, config, device, progress, added)
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            f"The memory of {device} does not suffice for training.",
            "Lower training.batch_size, or use --device cpu.",
        ) from error


def _visit(
    member: MemberState,
    site: Site,
    round_index: int,
    config: TrainingConfig,
    device: torch.device,
    progress: Progress | None,
    added: AddedLoss | None,
) -> tuple[MemberState, VisitReport]:
    began = time.perf_counter()
    training = LocalTraining.begin(member, site, round_index, config, device, added)
    epochs = config.method.local_epochs
    loss_sum, samples, skipped = 0.0, 0, 0
    for epoch in range(epochs):
        rate = learning_rate(config.training, round_index * epochs + epoch, config.total_epochs)
        # The only wait for the device: once an epoch.
        loss, trained, missed, missed_loss = training.run_epoch(rate).fetch()
        if missed and not trained:
            _check_finite(missed_loss, "loss", member, site, round_index)
            _check_finite(math.nan, "gradient", member, site, round_index)
        loss_sum += loss
        samples += trained
        skipped += missed
        if progress is not None:
            progress(epoch + 1, epochs)
    network, optimizer = training.network, training.optimizer
    largest = float(_largest_weight(network))
    _check_finite(largest, "largest weight", member, site, round_index)
    after = MemberState(
        index=member.index,
        weights=_to_cpu(get_state(network)),
        optimizer=_to_cpu(optimizer_tensors(network, optimizer)),
        epochs_done=member.epochs_done + epochs,
        rounds_done=member.rounds_done + 1,
        last_site=site.name,
    )
    mean_loss = loss_sum / samples if samples else None
    return after, VisitReport(mean_loss, samples, time.perf_counter() - began, skipped)


def _to_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}


def _largest_weight(network: nn.Module) -> Tensor:
    """Largest absolute value among the weights; NaN if there is one."""
    return torch.stack([p.detach().abs().max() for p in network.parameters()]).max()


def _check_finite(
    value: float, what: str, member: MemberState, site: Site, round_index: int
) -> None:
    if not math.isfinite(value):
        raise ConfigError(
            f"The {what} of member {member.index} became {value} at {site.name} "
            f"in round {round_index + 1}.",
            "Lower training.learning_rate or training.momentum.",
        )
