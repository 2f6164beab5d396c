"""Resampling to the networks' grid and back, as a transform of MONAI.

``configs/inference.json`` of a bundle names `ResampleToSpacingd`, so that MONAI's runner computes on the
grid of `fedcross.volumes.prepare`. MONAI's own transform has another grid: the centre of the first voxel
stays in place, and not the centre of the volume. FedCross itself does not use this module.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from numpy.typing import NDArray

from fedcross.volumes.grid import Grid, Triple
from fedcross.volumes.prepare import spacing_ratio, with_spacing
from fedcross.volumes.resample import resample_linear

AXES = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SIZE, SPACING = "size", "spacing_mm"


class ResampleToSpacing(InvertibleTransform):  # type: ignore[misc]  # MONAI has no types
    """Resample an image linearly to a spacing; the box and its centre stay the same.

    Parameters
    ----------
    spacing_mm
        Spacing of the result, (x, y, z), mm. An axis whose spacing differs by rounding only is not
        resampled.
    """

    def __init__(self, spacing_mm: Sequence[float]) -> None:
        x, y, z = (float(step) for step in spacing_mm)
        self._spacing_mm: Triple = (x, y, z)

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """Resample (C, x, y, z), whose affine has the spacing, float32."""
        grid = _grid_of(image)
        wanted = with_spacing(grid, self._spacing_mm)
        result = _resample(image, grid, wanted)
        record = {SIZE: grid.size, SPACING: grid.spacing_mm}
        self.push_transform(result, orig_size=grid.size, extra_info=record)
        return result

    def inverse(self, image: MetaTensor) -> MetaTensor:
        """Resample maps (C, x, y, z) on the networks' grid to the grid before `__call__`."""
        record = self.pop_transform(image)["extra_info"]
        x, y, z = record[SIZE]
        before = Grid((x, y, z), tuple(record[SPACING]), (0.0, 0.0, 0.0), AXES)
        return _resample(image, with_spacing(before, self._spacing_mm), before)


class ResampleToSpacingd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """`ResampleToSpacing` for the images of a dictionary.

    Parameters
    ----------
    keys
        Keys of the images.
    spacing_mm
        See `ResampleToSpacing`.
    allow_missing_keys
        Whether images may be missing.
    """

    def __init__(
        self, keys: KeysCollection, spacing_mm: Sequence[float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self._resample = ResampleToSpacing(spacing_mm)

    def __call__(self, data: Mapping[Hashable, MetaTensor]) -> dict[Hashable, MetaTensor]:
        """Resample the images."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self._resample(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, MetaTensor]) -> dict[Hashable, MetaTensor]:
        """Resample maps back to the grids of the images."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self._resample.inverse(result[key])
        return result


def _grid_of(image: MetaTensor) -> Grid:
    """The size and spacing of an image (C, x, y, z); its place does not matter here."""
    x, y, z = (int(side) for side in image.shape[1:])
    dx, dy, dz = (float(step) for step in image.pixdim)
    return Grid((x, y, z), (dx, dy, dz), (0.0, 0.0, 0.0), AXES)


def _resample(image: MetaTensor, current: Grid, wanted: Grid) -> MetaTensor:
    """Resample the channels from one grid to the other, and move the affine with them."""
    ratio = spacing_ratio(current, wanted)
    maps = [_resample_map(each.cpu().numpy(), wanted, ratio) for each in image.as_tensor()]
    affine = image.affine @ torch.from_numpy(_index_change(current, wanted)).to(image.affine)
    values = torch.from_numpy(np.stack(maps)).to(image.device)
    result = MetaTensor(values, meta=image.meta, applied_operations=image.applied_operations)
    result.affine = affine
    return result


def _resample_map(values: NDArray[np.float32], wanted: Grid, ratio: Triple) -> NDArray[np.float32]:
    """Resample one map; its axes are x, y, z, and those of `resample_linear` z, y, x."""
    return resample_linear(np.ascontiguousarray(values.T), wanted.shape, ratio).T


def _index_change(current: Grid, wanted: Grid) -> NDArray[np.float64]:
    """(4, 4): an index of the wanted grid to the index of the current one."""
    return np.linalg.inv(current.index_to_world) @ wanted.index_to_world
