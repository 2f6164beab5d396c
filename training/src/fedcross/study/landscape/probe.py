"""The loss of a model on every site's cases, always on the same patches."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedcross.model.memory_format import choose_memory_format
from fedcross.model.network_state import set_state
from fedcross.model.networks import build_network
from fedcross.patches.placement import plan_patches
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site, Volume
from fedcross.training.step.losses import make_loss

State = Mapping[str, Tensor]
Tiles = tuple[Tensor, Tensor]
"""Patches of one volume: images (N, channels, D, H, W) float32, labels (N, D, H, W) int64."""


class Probe:
    """Computes the losses of models.

    A model between two models has other activations than either. Interpolated running statistics of
    batch normalisation do not fit them, so its loss would depend more on the statistics than on the
    weights (Jordan et al., "REPAIR: REnormalizing Permuted Activations for Interpolation Repair", ICLR
    2023). By default the statistics are therefore computed again for every model, on the training cases
    of all sites, as in stochastic weight averaging. Other normalisations have no running statistics.

    Parameters
    ----------
    config
        Configuration; its network, patch size and loss are used.
    sites
        Sites with their cases in memory.
    part
        Cases whose loss is measured: ``train`` or ``validation``.
    cases
        Largest number of cases per site.
    device
        Device that computes.
    reestimate
        Whether the running statistics are computed again for every model.

    Raises
    ------
    ValueError
        If no site has a case in `part`.
    """

    def __init__(
        self,
        config: TrainingConfig,
        sites: Sequence[Site],
        part: str,
        cases: int,
        device: torch.device,
        *,
        reestimate: bool = True,
    ) -> None:
        x, y, z = config.preprocessing.patch_size
        patch = (z, y, x)
        self._loss = make_loss(config.loss, device)
        self._network = build_network(config.network).eval().to(device)
        layout = choose_memory_format(self._network, device)
        self._network.to(memory_format=layout)  # type: ignore[call-overload]
        self._tiles = {
            site.name: [
                (*cut_tiles(volume, patch, device), volume.missing)
                for volume in getattr(site, part)[:cases]
            ]
            for site in sites
            if getattr(site, part)
        }
        if not self._tiles:
            raise ValueError(f"no site has cases in {part}.")
        self._statistics = [
            module
            for module in self._network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
        ]
        self._pool = (
            [cut_tiles(volume, patch, device)[0] for site in sites for volume in site.train[:cases]]
            if reestimate and self._statistics
            else []
        )

    @property
    def has_statistics(self) -> bool:
        """Whether the network has running statistics."""
        return bool(self._statistics)

    @torch.no_grad()
    def losses(self, state: State) -> dict[str, float]:
        """Return the mean loss over the cases of each site; sites without cases are absent."""
        set_state(self._network, state)
        for module in self._statistics:
            if module.running_var is not None:  # an extrapolated variance may be negative
                module.running_var.clamp_(min=0)
        if self._pool:
            self._reestimate()
        self._network.eval()
        return {
            name: fmean(
                float(self._loss(self._network(images), labels, [missing] * len(images)))
                for images, labels, missing in volumes
            )
            for name, volumes in self._tiles.items()
        }

    def _reestimate(self) -> None:
        """Set the running statistics to their means over the training volumes."""
        kept = [module.momentum for module in self._statistics]
        for module in self._statistics:
            module.reset_running_stats()
            module.momentum = None  # all batches have the same weight
        self._network.train()
        for images in self._pool:
            self._network(images)
        for module, momentum in zip(self._statistics, kept, strict=True):
            module.momentum = momentum


def cut_tiles(volume: Volume, patch: tuple[int, int, int], device: torch.device) -> Tiles:
    """Return patches (D, H, W) that cover a volume without overlap where possible, padded with 0."""
    lacks = [max(0, side - size) for side, size in zip(patch, volume.label.shape, strict=True)]
    padding = [n for lack in reversed(lacks) for n in (lack // 2, lack - lack // 2)]
    image, label = F.pad(volume.image, padding), F.pad(volume.label, padding)
    boxes = [
        tuple(slice(first, first + side) for first, side in zip(start, patch, strict=True))
        for start in plan_patches(tuple(label.shape), patch, 0.0)
    ]
    images = torch.stack([image[:, *box] for box in boxes])
    labels = torch.stack([label[box] for box in boxes])
    return images.to(device), labels.to(device, torch.int64)
