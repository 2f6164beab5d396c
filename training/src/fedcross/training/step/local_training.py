"""The training of one member at one site: epochs, steps, and where the volumes are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fedcross.model.memory_format import choose_memory_format
from fedcross.model.network_state import set_state
from fedcross.model.networks import build_network
from fedcross.runtime.seeding import torch_generator
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site, Volume
from fedcross.training.step.appearance import MOST_SEED, draw_noise
from fedcross.training.step.augmentation import PatchChanges
from fedcross.training.step.custom_parts import ChangeBatch, make_custom_augmentation
from fedcross.training.step.drift_penalty import DriftPenalty
from fedcross.training.step.finite_step import EpochSums, FiniteStep, limit_gradient
from fedcross.training.step.losses import Loss, make_loss
from fedcross.training.step.optimizer import make_optimizer
from fedcross.training.step.patch_draw import PatchDraw
from fedcross.training.step.precision import allow_bf16_on_cpu, training_precision
from fedcross.training.step.sampling import draw_epoch, sample_batch

GPU_SHARE = 0.3
"""Largest share of a GPU's free memory that a site's volumes may take; the rest is for training."""


def draw_patches(
    cases: Sequence[Volume], config: TrainingConfig, generator: torch.Generator
) -> list[PatchDraw]:
    """Draw the patches of one epoch, changed at random as the configuration asks for.

    Parameters
    ----------
    cases
        The site's training cases.
    config
        The run's configuration.
    generator
        CPU generator of all random numbers; its state advances.
    """
    settings, is_paper = config.training, config.augmentation.preset == "paper"
    x, y, z = config.preprocessing.patch_size
    draws = draw_epoch(
        cases,
        patch=(z, y, x),
        patches_per_case=settings.patches_per_case,
        rotation_rad=settings.rotation_rad,
        foreground_fraction=settings.foreground_fraction,
        generator=generator,
        intensity=settings.intensity if is_paper else 0.0,
        is_centred=not is_paper,
    )
    if is_paper:
        return draws
    changes = PatchChanges(
        config.augmentation,
        config.augmentation.flip_chance(
            [text for each in config.structures for text in (each.name, each.type.meaning)]
        ),
        (z, y, x),
        config.preprocessing.spacing_mm,
        config.preprocessing.channel_count,
    )
    return changes.change(draws, generator)


class AddedLoss(Protocol):
    """What is added to the loss on the labels: the method's drift penalty, or the loss of a teacher."""

    def loss(self, images: Tensor, logits: Tensor) -> Tensor | float:
        """Return what is added to the loss of a batch.

        Parameters
        ----------
        images
            Batch, (N, channels, D, H, W).
        logits
            Output of the network for it, (N, C, D, H, W).
        """
        ...

    def add_gradient(self) -> None:
        """Add to the parameters' gradient what does not come from `loss`."""
        ...


@dataclass(frozen=True)
class LocalTraining:
    """A member that trains at a site during one visit.

    Attributes
    ----------
    config
        The run's configuration.
    network, optimizer
        The member on the device, in training mode.
    penalty
        What is added to the loss.
    cases
        The site's training cases, as they are in memory.
    volumes
        The same cases where patches are cut: on the device if they fit.
    generator
        CPU generator of the visit's patches.
    loss
        Loss of a batch.
    change_batch
        Augmentation of another package; None without one.
    """

    config: TrainingConfig
    network: nn.Module
    optimizer: Optimizer
    penalty: AddedLoss
    cases: Sequence[Volume]
    volumes: Sequence[Volume]
    generator: torch.Generator
    loss: Loss
    change_batch: ChangeBatch | None

    @classmethod
    def begin(
        cls,
        member: MemberState,
        site: Site,
        round_index: int,
        config: TrainingConfig,
        device: torch.device,
        added: AddedLoss | None = None,
    ) -> Self:
        """Load the member and the site's cases onto the device.

        `added` takes the place of the method's drift penalty; None is that penalty.
        """
        network, optimizer = _load(member, config, device)
        volumes = _volumes_in_reach(site.train, device)
        generator = torch_generator("patches", config.seed, member.index, round_index)
        penalty = added or DriftPenalty(network, config.method, member.rounds_done)
        if config.training.compile:
            network.compile()
        return cls(
            config,
            network,
            optimizer,
            penalty,
            site.train,
            volumes,
            generator,
            make_loss(config.loss, device),
            make_custom_augmentation(config.augmentation.plugin),
        )

    def run_epoch(self, rate: float) -> EpochSums:
        """Train one epoch at a learning rate; return its sums, which stay on the device.

        A step whose loss or gradient is not finite is skipped; see `FiniteStep`.
        """
        settings = self.config.training
        x, y, z = self.config.preprocessing.patch_size
        draws = draw_patches(self.cases, self.config, self.generator)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        device = next(self.network.parameters()).device
        sums = EpochSums.zero(device)
        for first in range(0, len(draws), settings.batch_size):
            batch = draws[first : first + settings.batch_size]
            images, labels = sample_batch(
                self.volumes,
                batch,
                patch=(z, y, x),
                spacing_mm=self.config.preprocessing.spacing_mm,
                device=device,
            )
            if self.config.augmentation.preset == "paper" and settings.noise > 0:
                seed = int(torch.randint(MOST_SEED, (1,), generator=self.generator))
                images += settings.noise * draw_noise(images, seed)
            if self.change_batch is not None:
                images, labels = self.change_batch(images, labels, self.generator)
            missing = [self.volumes[draw.case].missing for draw in batch]
            evaluate = partial(self._evaluate, images, labels, missing)
            step = FiniteStep(self.network, self.optimizer)
            loss = self.config.method.compute_gradient(self.network, evaluate)
            norm = limit_gradient(self.network, settings.max_gradient_norm)
            is_finite = step.finish(loss, norm)
            sums.add(loss, len(batch), is_finite)
        return sums

    def _evaluate(
        self, images: Tensor, labels: Tensor, missing: Sequence[tuple[int, ...]]
    ) -> Tensor:
        """Return the loss of a batch, and leave its gradient in the parameters."""
        bf16 = training_precision(self.config, images.device) == "bf16"
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            logits = self.network(images)
            penalty = self.penalty.loss(images, logits)
        loss = self.loss(logits, labels, missing)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        self.penalty.add_gradient()
        return loss.detach()


def _volumes_in_reach(volumes: Sequence[Volume], device: torch.device) -> list[Volume]:
    """The volumes on the device; where they would crowd a GPU's memory, as they are.

    A patch's surroundings are then brought there when it is cut.
    """
    if device.type == "cuda" and sum(volume.nbytes for volume in volumes) > GPU_SHARE * _free(
        device
    ):
        return list(volumes)
    return [volume.to(device) for volume in volumes]


def _free(device: torch.device) -> int:
    """Bytes of a GPU's memory that this process can still have; PyTorch holds some for later."""
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + held


def _load(
    member: MemberState, config: TrainingConfig, device: torch.device
) -> tuple[nn.Module, Optimizer]:
    """The member's network in training mode and its optimiser, on `device`."""
    with torch.device("meta"):
        network = build_network(config.network)
    weights = {key: tensor.to(device, copy=True) for key, tensor in member.weights.items()}
    set_state(network, weights, assign=True)
    network.train()
    if device.type == "cpu":
        allow_bf16_on_cpu(network)
    network.to(memory_format=choose_memory_format(network, device))  # type: ignore[call-overload]
    return network, make_optimizer(network, config.training, member.optimizer)
