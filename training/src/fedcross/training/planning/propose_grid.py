"""Propose spacing, network, patch, batch and intensity normalisation, which depend on each other."""

import math
from typing import Any

from pydantic import TypeAdapter

from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError
from fedcross.model.architecture import Architecture
from fedcross.training.planning.figures import FederationFigures
from fedcross.training.planning.grid_rules import (
    MIN_BATCH,
    STEP_SHARE,
    Sides,
    Triple,
    coarsen,
    fit_batch,
    fit_patch,
    target_spacing,
)
from fedcross.training.planning.intensity_rules import choose_intensity
from fedcross.training.planning.network_rules import (
    choose_width,
    design_dynunet,
    memory_bytes,
    needs_dynunet,
    step_voxels,
)
from fedcross.training.planning.proposal import Proposal
from fedcross.volumes.preprocessing import MAX_SPACING_MM

OVERLAP = 0.25


class GridPlanner:
    """Network and patch as functions of the spacing, with what is given kept.

    Parameters
    ----------
    proposal
        Proposal with the given options.
    figures
        Figures of the federation.
    memory_gb
        Memory of a training step, 10^9 bytes.
    classes
        Output classes, background included.
    """

    def __init__(
        self, proposal: Proposal, figures: FederationFigures, memory_gb: float, classes: int
    ) -> None:
        self._figures, self._memory_gb, self._classes = figures, memory_gb, classes
        self._network = dict(proposal.section("network"))
        self._patch = proposal.section("preprocessing").get("patch_size")
        self._batch = proposal.section("training").get("batch_size", MIN_BATCH)

    def network(self, spacing_mm: Triple) -> Architecture:
        """Return the network that suits a spacing; the given one if any of its options is given."""
        size = self._figures.median_size(spacing_mm)
        width = choose_width(self._memory_gb, size, self._batch)
        if not self._network and needs_dynunet(size):
            return design_dynunet(size, spacing_mm, width, self._classes)
        options: dict[str, Any] = {"name": "unet", "classes": self._classes, **self._network}
        if options["name"] == "unet":
            options = {"base_channels": width, **options}
        network: Architecture = TypeAdapter(Architecture).validate_python(options)
        return network

    def step_voxels(self, spacing_mm: Triple) -> float:
        """Return how many voxels the patches of a step may have together."""
        per_channel, channels = memory_bytes(self.network(spacing_mm))
        return step_voxels(self._memory_gb, channels, per_channel)

    def patch(self, spacing_mm: Triple) -> Sides:
        """Return the patch that suits a spacing; the given one if there is one."""
        if self._patch is not None:
            x, y, z = self._patch
            return x, y, z
        size = self._figures.median_size(spacing_mm)
        divisors = self.network(spacing_mm).reduction
        most = self.step_voxels(spacing_mm) / self._batch
        return fit_patch(size, spacing_mm, divisors, most)

    def spacing(self) -> tuple[Triple, str]:
        """Return the spacing and the reason for it."""
        figures = self._figures
        size = figures.median_size(figures.spacing_mm)
        finest, anisotropic = target_spacing(figures.spacing_mm, figures.fine_spacing_mm, size)
        spacing = coarsen(finest, figures.sides_mm, figures.extent_mm, self.patch)
        reason = f"median of {counted(figures.cases, 'case')}"
        if anisotropic:
            reason += ", percentile 10 on the coarsest axis"
        if spacing != finest:
            reason = (
                f"{_times(finest)} ({reason}) made coarser: a patch must see enough of the volume"
            )
        return spacing, reason


def propose_grid(
    proposal: Proposal, figures: FederationFigures, memory_gb: float, classes: int
) -> None:
    """Add spacing, patch, overlap, network and batch size to a proposal.

    Raises
    ------
    ConfigError
        If the voxels of the cases are longer than networks take.
    """
    planner = GridPlanner(proposal, figures, memory_gb, classes)
    spacing, reason = planner.spacing()
    if max(spacing) > MAX_SPACING_MM and "spacing_mm" not in proposal.section("preprocessing"):
        raise ConfigError(
            f"The median voxel of the cases has {_times(spacing)} mm; at most {MAX_SPACING_MM:g} mm are "
            "possible along an axis.",
            "Correct the spacing in the images' headers: some programs write 999 mm for single slices.",
        )
    x, y, z = proposal.offer("preprocessing", "spacing_mm", list(spacing), reason)
    spacing = (x, y, z)
    size, patch = figures.median_size(spacing), planner.patch(spacing)
    network = planner.network(spacing)
    covered = math.prod(min(a, b) for a, b in zip(patch, size, strict=True)) / math.prod(size)
    proposal.offer(
        "preprocessing",
        "patch_size",
        list(patch),
        f"{covered:.0%} of the median case of {_whole(size)} voxels; multiples of {network.divisors}",
    )
    proposal.offer(
        "preprocessing",
        "overlap",
        OVERLAP,
        "0.5, as in nnU-Net, would compute three times as many patches",
    )
    _propose_network(proposal, network, size, memory_gb)
    voxels = planner.step_voxels(spacing)
    train_voxels = sum(figures.train) * math.prod(size)
    proposal.offer(
        "training",
        "batch_size",
        fit_batch(patch, voxels, train_voxels),
        f"{memory_gb:g} GB hold {voxels / math.prod(patch):.3g} such patches; 5 % of the voxels of the "
        f"training cases are {STEP_SHARE * train_voxels / math.prod(patch):.3g} patches; at least 2",
    )


def propose_intensity(proposal: Proposal, figures: FederationFigures) -> None:
    """Add the intensity normalisation to a proposal, or the parameters of the given one."""
    options = proposal.section("preprocessing")
    modality, wanted = options.get("modality", ""), options.get("intensity")
    if len(options.get("channels", ())) > 1:  # one window cannot suit several kinds of images
        modality = "several"
    settings, reason = choose_intensity(
        "CT" if wanted == "ct" else modality,
        figures.nonzero_box,
        figures.padding,
        figures.foreground,
    )
    if wanted not in (None, settings["intensity"]):
        return
    for key, value in settings.items():
        proposal.offer(
            "preprocessing", key, value, reason if key == "intensity" else "see intensity"
        )


def _propose_network(
    proposal: Proposal, network: Architecture, size: Triple, memory_gb: float
) -> None:
    given = bool(proposal.section("network"))
    if network.name == "dynunet" and not given:
        side = counted(round(min(size)), "voxel")
        thin = f"an axis has only {side}, too few for the four halvings of unet"
        proposal.offer("network", "name", network.name, thin)
        proposal.offer(
            "network", "filters", list(network.filters), f"for {memory_gb:g} GB of memory per step"
        )
        strides = [list(stride) for stride in network.strides]
        proposal.offer("network", "strides", strides, "an axis is halved while 4 voxels remain")
    if network.name == "unet":
        proposal.offer(
            "network", "name", network.name, "every axis is long enough for four halvings"
        )
        width = network.base_channels
        proposal.offer(
            "network", "base_channels", width, f"for {memory_gb:g} GB of memory per step"
        )
    if not given:
        reason = "batch statistics would be those of the hospital visited last"
        proposal.offer("network", "norm", "instance", reason)


def _whole(size: Triple) -> str:
    return " x ".join(f"{side:.0f}" for side in size)


def _times(values: tuple[float, ...]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
