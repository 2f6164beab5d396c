"""One visit: a member trains at a site. Every engine uses this and nothing else.

A visit is a pure function of the member's state, the site's cases, the configuration and the
round's number: repeating it gives the same member, to the bit on a CPU.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fedcross.errors import ConfigError, DeviceError
from fedcross.model.memory_format import choose_memory_format
from fedcross.model.networks import build_network
from fedcross.runtime.device import Precision, resolve_precision
from fedcross.runtime.seeding import torch_generator
from fedcross.strategies.member import MemberState
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.config.sections import OptimisationConfig
from fedcross.train.data.volumes import Site, Volume
from fedcross.train.step.losses import dice_ce_loss
from fedcross.train.step.optimizer import make_optimizer, optimizer_tensors
from fedcross.train.step.pull import Pull
from fedcross.train.step.sampling import draw_epoch, sample_batch

POLYNOMIAL = 0.9
GPU_SHARE = 0.3
"""Of a GPU's free memory: a site's volumes may take so much of it, the rest is for training."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class VisitReport:
    """Figures of one visit.

    Attributes
    ----------
    loss
        Mean training loss over the visit's patches, without what a pull adds; None when nothing was
        trained.
    samples
        Patches trained.
    seconds
        Wall time.
    """

    loss: float | None
    samples: int
    seconds: float


def learning_rate(base: float, epoch: int, total: int) -> float:
    """Polynomial decay, ``base * (1 - epoch / total) ** 0.9``; `epoch` counts from 0.

    `epoch` counts local epochs from the run's beginning, round after round, `total` are all of them
    (rounds x local epochs), so that the rate falls over the run and not within a visit. A member
    that missed a visit has the same rate as the others.
    """
    return float(base * (1 - epoch / total) ** POLYNOMIAL)


def training_precision(settings: OptimisationConfig, device: torch.device) -> Precision:
    """What the network computes with while it trains on `device`.

    Raises
    ------
    ConfigError
        If bf16 is asked for on a CPU. There PyTorch 2.13 leaves, now and then, memory that nobody
        wrote in the weight gradients of 3D convolutions over few voxels: other numbers every time,
        sometimes NaN. Inference in bf16 is not concerned.
    """
    precision = resolve_precision(settings.precision, device)
    if precision == "bf16" and device.type == "cpu":
        raise ConfigError(
            "training.precision is bf16, which trains reliably on a GPU only, got the CPU.",
            "Use auto or fp32.",
        )
    return precision


def visit(
    member: MemberState,
    site: Site,
    round_index: int,
    config: TrainingConfig,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[MemberState, VisitReport]:
    """Train `member` at `site` for the configuration's local epochs.

    Parameters
    ----------
    member
        Its state before; not changed.
    site
        Whose training cases are used.
    round_index
        Decides the learning rate, and the patches together with the configuration's seed and the
        member.
    config
        The run's configuration.
    device
        Where to compute.
    progress
        Called with (epochs done, epochs of this visit) after every epoch.

    Returns
    -------
    member : MemberState
        Its state after, on the CPU.
    report : VisitReport
        Loss, samples and time.

    Raises
    ------
    ConfigError
        If the loss or the weights become NaN or infinite; the member before the visit is unharmed.
    DeviceError
        If the GPU's memory does not suffice.
    """
    try:
        return _visit(member, site, round_index, config, device, progress)
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
) -> tuple[MemberState, VisitReport]:
    began = time.perf_counter()
    network, optimizer = _load(member, config, device)
    volumes = _within_reach(site.train, device)
    generator = torch_generator("patches", config.seed, member.index, round_index)
    pull = Pull(network, config.method, member.rounds_done)
    if config.training.compile:
        network.compile()
    epochs = config.method.local_epochs
    loss_sum, samples = 0.0, 0
    for epoch in range(epochs):
        rate = learning_rate(
            config.training.learning_rate, round_index * epochs + epoch, config.total_epochs
        )
        epoch_loss, epoch_samples = _epoch(
            network, optimizer, pull, rate, site.train, volumes, config, generator
        )
        # The only wait for the device: once an epoch.
        loss_sum += _finite(float(epoch_loss), "loss", member, site, round_index)
        samples += epoch_samples
        if progress is not None:
            progress(epoch + 1, epochs)
    _finite(float(_largest(network)), "largest weight", member, site, round_index)
    after = MemberState(
        index=member.index,
        weights=_on_cpu(network.state_dict()),
        optimizer=_on_cpu(optimizer_tensors(network, optimizer)),
        epochs_done=member.epochs_done + epochs,
        rounds_done=member.rounds_done + 1,
        last_site=site.name,
    )
    loss = loss_sum / samples if samples else None
    return after, VisitReport(loss, samples, time.perf_counter() - began)


def _epoch(
    network: nn.Module,
    optimizer: Optimizer,
    pull: Pull,
    rate: float,
    cases: tuple[Volume, ...],
    volumes: list[Volume],
    config: TrainingConfig,
    generator: torch.Generator,
) -> tuple[Tensor, int]:
    """Train one epoch; return the sum of the loss over its patches, on the device, and their count."""
    settings = config.training
    x, y, z = config.preprocessing.patch_size
    draws = draw_epoch(
        cases,
        patch=(z, y, x),
        patches_per_case=settings.patches_per_case,
        rotation_rad=settings.rotation_rad,
        foreground_fraction=settings.foreground_fraction,
        generator=generator,
        intensity=settings.intensity,
    )
    for group in optimizer.param_groups:
        group["lr"] = rate
    device = next(network.parameters()).device
    bf16 = training_precision(settings, device) == "bf16"
    total = torch.zeros((), device=device)
    for first in range(0, len(draws), settings.batch_size):
        batch = draws[first : first + settings.batch_size]
        images, labels = sample_batch(
            volumes,
            batch,
            patch=(z, y, x),
            spacing_mm=config.preprocessing.spacing_mm,
            device=device,
        )
        if settings.noise > 0:
            images += settings.noise * _noise(images, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(images)
            held = pull.loss(images, logits)
        loss = dice_ce_loss(logits, labels, [volumes[draw.case].missing for draw in batch])
        optimizer.zero_grad(set_to_none=True)
        (loss + held).backward()  # type: ignore[no-untyped-call]
        pull.add_gradient()
        optimizer.step()
        total += loss.detach() * len(batch)
    return total, len(draws)


def _within_reach(volumes: Sequence[Volume], device: torch.device) -> list[Volume]:
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


def _noise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise of the images' shape, made where they lie; `generator` (CPU) seeds it."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    here = torch.Generator(images.device).manual_seed(seed)
    return torch.randn(images.shape, generator=here, device=images.device)


def _load(
    member: MemberState, config: TrainingConfig, device: torch.device
) -> tuple[nn.Module, Optimizer]:
    """The member's network in training mode and its optimiser, on `device`."""
    with torch.device("meta"):
        network = build_network(config.network)
    weights = {key: tensor.to(device, copy=True) for key, tensor in member.weights.items()}
    network.load_state_dict(weights, assign=True)
    network.train()
    network.to(memory_format=choose_memory_format(network, device))  # type: ignore[call-overload]
    return network, make_optimizer(network, config.training, member.optimizer)


def _on_cpu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}


def _largest(network: nn.Module) -> Tensor:
    """Largest absolute value among the weights; NaN if there is one."""
    return torch.stack([p.detach().abs().max() for p in network.parameters()]).max()


def _finite(value: float, what: str, member: MemberState, site: Site, round_index: int) -> float:
    if not torch.isfinite(torch.tensor(value)):
        raise ConfigError(
            f"The {what} of member {member.index} became {value} at {site.name} "
            f"in round {round_index + 1}.",
            "Lower training.learning_rate or training.momentum.",
        )
    return value
