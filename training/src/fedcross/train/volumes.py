"""A site's cases as the training step sees them: tensors on the model's grid, no files.

Nothing here imports more than torch, so that a machine that only trains needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor


@dataclass(frozen=True)
class Volume:
    """One preprocessed case.

    Attributes
    ----------
    name
        The case.
    image
        (D, H, W) = (z, y, x) float32, z-score intensities on the model's grid.
    label
        (D, H, W) uint8 on the same grid: 0 background, else a structure's label.
    """

    name: str
    image: Tensor
    label: Tensor

    @cached_property
    def foreground(self) -> Tensor:
        """Flat indices of the labelled voxels, (n,) int64 on the CPU; n may be 0."""
        return self.label.cpu().flatten().nonzero()[:, 0]

    def to(self, device: torch.device) -> "Volume":
        """The same case on `device` (itself if it is there already)."""
        image = self.image.to(device, non_blocking=True)
        return Volume(self.name, image, self.label.to(device, non_blocking=True))


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies.

    Attributes
    ----------
    name
        The case, unique within its site.
    image, label
        Files, or folders of DICOM series.
    """

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Site:
    """One hospital with its cases.

    Attributes
    ----------
    name
        As in the configuration.
    train, validation
        Preprocessed and kept in memory.
    test
        Only read when the training is over.
    label_map
        Value in the site's label maps -> value in the output.
    """

    name: str
    train: tuple[Volume, ...]
    validation: tuple[Volume, ...] = ()
    test: tuple[CaseFiles, ...] = ()
    label_map: Mapping[int, int] = field(default_factory=dict)
