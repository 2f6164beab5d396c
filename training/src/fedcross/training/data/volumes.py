"""The data of a site: preprocessed cases as tensors on the model's grid, and files of test cases.

This module imports torch only, so that a machine that only trains needs no other package.
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
        Name of the case.
    image
        (channels, D, H, W) float32, normalised intensities on the model's grid; D, H, W are z, y, x.
    label
        (D, H, W) uint8 on the same grid: 0 is background, other values are structures' labels.
    missing
        Labels of the structures that were not drawn in this case; its background may contain them.
    """

    name: str
    image: Tensor
    label: Tensor
    missing: tuple[int, ...] = ()

    @cached_property
    def foreground(self) -> Tensor:
        """Flat indices into `label` of the labelled voxels, (n,) int64 on the CPU; n may be 0."""
        return self.label.cpu().flatten().nonzero()[:, 0]

    @property
    def nbytes(self) -> int:
        """Size of image and label in bytes."""
        return self.image.nbytes + self.label.nbytes

    def to(self, device: torch.device) -> "Volume":
        """Return the case on `device`; the object itself if it is already there."""
        if device == self.image.device:
            return self
        image, label = self.image, self.label
        if device.type == "cuda":  # copies from pinned memory run concurrently with computing
            image, label = image.pin_memory(), label.pin_memory()
        return replace(
            self,
            image=image.to(device, non_blocking=True),
            label=label.to(device, non_blocking=True),
        )


@dataclass(frozen=True)
class ImageFile:
    """The file of one image, or a folder with one DICOM series.

    Attributes
    ----------
    path
        The file or folder.
    channel
        Index from 0 of the volume in a 4D image; None if the image is 3D.
    """

    path: Path
    channel: int | None = None


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes
    ----------
    name
        Name of the case, unique within its site.
    image, label
        Files, or folders with one DICOM series. The label is on the grid of this image, that of the
        first channel.
    patient
        Identifies the patient, so that a split keeps a patient's scans together; empty if the case is
        a patient of its own.
    channel
        Index from 0 of the volume in a 4D image; None if the image is 3D.
    resample_label
        Whether a label on another grid is resampled onto the image's grid by nearest neighbour.
    further
        Images of the further channels.
    """

    name: str
    image: Path
    label: Path
    patient: str = ""
    channel: int | None = None
    resample_label: bool = False
    further: tuple[ImageFile, ...] = ()

    @property
    def images(self) -> tuple[ImageFile, ...]:
        """The images of all channels."""
        return (ImageFile(self.image, self.channel), *self.further)


@dataclass(frozen=True)
class Site:
    """One hospital with its cases.

    Attributes
    ----------
    name
        Name of the site in the configuration.
    train, validation
        Preprocessed cases, in memory or memory-mapped.
    test
        Files of the test cases; they are read after the training.
    label_map
        Value in the site's label maps to the structure's label.
    missing
        Labels of the structures that were not drawn at this site.
    """

    name: str
    train: tuple[Volume, ...]
    validation: tuple[Volume, ...] = ()
    test: tuple[CaseFiles, ...] = ()
    label_map: Mapping[int, int] = field(default_factory=dict)
    missing: tuple[int, ...] = ()
