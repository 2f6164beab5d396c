"""A site's cases as the training step sees them: tensors on the model's grid, no files.

Nothing here imports more than torch, so that a machine that only trains needs nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    missing
        Labels of the structures that nobody drew in this case: its background may be one of them.
    """

    name: str
    image: Tensor
    label: Tensor
    missing: tuple[int, ...] = ()

    @cached_property
    def foreground(self) -> Tensor:
        """Flat indices of the labelled voxels, (n,) int64 on the CPU; n may be 0."""
        return self.label.cpu().flatten().nonzero()[:, 0]

    @property
    def nbytes(self) -> int:
        """Bytes of image and label."""
        return self.image.nbytes + self.label.nbytes

    def to(self, device: torch.device) -> "Volume":
        """The same case on `device` (itself if it is there already)."""
        if device == self.image.device:
            return self
        image, label = self.image, self.label
        if device.type == "cuda":  # from pinned memory the copies run beside the computing
            image, label = image.pin_memory(), label.pin_memory()
        return replace(
            self,
            image=image.to(device, non_blocking=True),
            label=label.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class CaseFiles:
    """Where one case lies.

    Attributes
    ----------
    name
        The case, unique within its site.
    image, label
        Files, or folders of DICOM series.
    patient
        Whose scan it is, so that a split keeps a patient's scans together; empty if every case of
        the site is another patient's.
    channel
        Which volume of a 4D image; None if the image is 3D.
    resample_label
        Whether a label on another grid than the image's is brought onto it, by nearest neighbour.
    """

    name: str
    image: Path
    label: Path
    patient: str = ""
    channel: int | None = None
    resample_label: bool = False


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
    missing
        Labels of the structures that nobody draws at this site.
    """

    name: str
    train: tuple[Volume, ...]
    validation: tuple[Volume, ...] = ()
    test: tuple[CaseFiles, ...] = ()
    label_map: Mapping[int, int] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
