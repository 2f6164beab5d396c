"""Draw the training patches of an epoch, and cut them out of the volumes.

A patch is cut from the whole volume in one interpolation on the volume's device. Its position is drawn
on the CPU with the caller's generator, so that one seed gives the same patches on all devices.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fedcross.training.data.volumes import Volume
from fedcross.training.step.appearance import Appearance, change_appearance, enlarge
from fedcross.training.step.patch_draw import PatchDraw, Shape, Triple, crop_volume, index_motion


def draw_epoch(
    volumes: Sequence[Volume],
    *,
    patch: Shape,
    patches_per_case: int,
    rotation_rad: float,
    foreground_fraction: float,
    generator: torch.Generator,
    intensity: float = 0.0,
    is_centred: bool = False,
) -> list[PatchDraw]:
    """Draw the patches of one epoch.

    Parameters
    ----------
    volumes
        The site's training cases.
    patch
        Patch size (D, H, W) = (z, y, x) in voxels.
    patches_per_case
        Number of patches per case.
    rotation_rad
        The angle about each axis is uniform from minus to plus this value.
    foreground_fraction
        Probability that a patch, before its rotation, contains a random labelled voxel. Otherwise the
        position is uniform over all positions inside the volume. Along an axis where the volume is
        shorter than the patch, the volume is centred in the patch.
    generator
        CPU generator of all random numbers; its state advances.
    intensity
        Gains are uniform from 1 - `intensity` to 1 + `intensity`, shifts from -`intensity` to
        +`intensity` in standard deviations of the volume, for each channel on its own.
    is_centred
        Whether the labelled voxel is at the patch's centre, or as near to it as the volume's border
        allows. Otherwise it is anywhere in the patch.

    Returns
    -------
    list of PatchDraw
        The patches in random order, which is the order of training.
    """
    cases = torch.arange(len(volumes)).repeat_interleave(patches_per_case)
    cases = cases[torch.randperm(len(cases), generator=generator)]
    places = torch.rand(len(cases), 3, generator=generator, dtype=torch.float64)
    turns = torch.rand(len(cases), 3, generator=generator, dtype=torch.float64) * 2 - 1
    chances = torch.rand(len(cases), 2, generator=generator, dtype=torch.float64)
    appearances: list[tuple[Appearance, ...]] = [()] * len(cases)
    if intensity > 0:  # drawn last: the option does not change the positions of the patches
        channels = len(volumes[0].image)
        size = (len(cases), channels, 2)
        pairs = torch.rand(size, generator=generator, dtype=torch.float64) * 2 - 1
        appearances = [
            tuple(
                Appearance(gain=1 + intensity * gain, shift=intensity * shift)
                for gain, shift in of_patch
            )
            for of_patch in pairs.tolist()
        ]
    draws = []
    for case, place, turn, (chance, pick), appearance in zip(
        cases.tolist(), places.tolist(), turns.tolist(), chances.tolist(), appearances, strict=True
    ):
        volume = volumes[case]
        room = [size - side for size, side in zip(volume.label.shape, patch, strict=True)]
        target = _foreground_voxel(volume, pick) if chance < foreground_fraction else None
        start = [
            _start(free, side, fraction, None if target is None else target[axis], is_centred)
            for axis, (free, side, fraction) in enumerate(zip(room, patch, place, strict=True))
        ]
        angles = [rotation_rad * value for value in turn]
        draws.append(
            PatchDraw(
                case,
                (start[0], start[1], start[2]),
                (angles[0], angles[1], angles[2]),
                appearances=appearance,
            )
        )
    return draws


def sample_batch(
    volumes: Sequence[Volume],
    draws: Sequence[PatchDraw],
    *,
    patch: Shape,
    spacing_mm: Triple,
    device: torch.device | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut out a batch of patches.

    Parameters
    ----------
    volumes
        The cases. Of a volume on another device than `device` only the part that a patch needs is
        copied to `device`.
    draws
        The random values of each patch.
    patch
        Patch size (D, H, W) = (z, y, x) in voxels.
    spacing_mm
        Voxel size (x, y, z) of the volumes and the patches.
    device
        Device of the patches; None means the volumes' device.

    Returns
    -------
    images : Tensor
        (N, channels, D, H, W) float32, interpolated trilinearly. Outside the volume the intensity is 0
        before it is changed.
    labels : Tensor
        (N, D, H, W) int64 of the nearest voxels; 0 outside the volume.
    """
    pairs = []
    for draw in draws:
        volume = volumes[draw.case]
        if device is not None and volume.image.device != device:
            volume, draw = crop_volume(volume, draw, patch, spacing_mm)
            volume = volume.to(device)
        pairs.append(sample_patch(volume, draw, patch, spacing_mm))
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])


def sample_patch(
    volume: Volume, draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[Tensor, Tensor]:
    """Cut out one patch on the volume's device; see `sample_batch`.

    Returns
    -------
    image : Tensor
        (channels, D, H, W) float32.
    label : Tensor
        (D, H, W) int64.
    """
    shape = volume.label.shape
    matrix, offset = index_motion(draw, patch, spacing_mm)
    device = volume.image.device
    z, y, x = (torch.arange(side, device=device, dtype=torch.float32) for side in patch)
    # Per axis of the volume: the index of every voxel of the patch, a broadcast sum of three vectors.
    where = [
        (row[0] * z + shift)[:, None, None] + (row[1] * y)[:, None] + row[2] * x
        for row, shift in zip(matrix, offset, strict=True)
    ]
    if draw.elastic is not None:
        moves = enlarge(draw.elastic, patch, device)
        where = [w + move for w, move in zip(where, moves, strict=True)]
    # grid_sample takes (x, y, z) with -1 and 1 at the outer borders of the outermost voxels.
    grid = torch.stack([(2 * w + 1) / n - 1 for w, n in zip(where, shape, strict=True)][::-1], -1)
    image = F.grid_sample(volume.image[None], grid[None], align_corners=False)[0]
    if draw.appearances:
        image = torch.stack(
            [change_appearance(*pair) for pair in zip(image, draw.appearances, strict=True)]
        )
    inside = torch.ones(patch, dtype=torch.bool, device=device)
    flat = torch.zeros(patch, dtype=torch.int64, device=device)
    for w, n in zip(where, shape, strict=True):
        nearest = (w + 0.5).floor().long()
        inside &= (nearest >= 0) & (nearest < n)
        flat = flat * n + nearest.clamp(0, n - 1)
    return image, torch.take(volume.label, flat).long() * inside


def _start(free: int, side: int, fraction: float, target: int | None, is_centred: bool) -> float:
    """The start along one axis.

    `free` is the length of the volume minus that of the patch, `side`, and `fraction` is from 0 to 1.
    With a `target` the patch contains this voxel, or is centred on it; otherwise all positions in the
    volume are possible.
    """
    if free <= 0:
        return float(free // 2)
    if target is None:
        return fraction * free
    if is_centred:
        return float(min(max(target - side // 2, 0), free))
    low, high = max(0, target - side + 1), min(free, target)
    return low + fraction * (high - low)


def _foreground_voxel(volume: Volume, pick: float) -> tuple[int, int, int] | None:
    """Index (z, y, x) of the labelled voxel number ``pick * n`` of n; None if there is none."""
    voxels = volume.foreground
    if len(voxels) == 0:
        return None
    place, (_, rows, columns) = int(voxels[int(pick * len(voxels))]), volume.label.shape
    return place // (rows * columns), place // columns % rows, place % columns
