"""The random values of one training patch, and the part of a volume that the patch needs."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fedcross.training.data.volumes import Volume
from fedcross.training.step.appearance import Appearance

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PatchDraw:
    """The random values of one patch: its volume, position, shape and intensities.

    Attributes
    ----------
    case
        Index of the volume.
    start
        Index (z, y, x) in the volume of the patch's first voxel before rotation; may be fractional.
    angles_rad
        Rotation about the axes (x, y, z) through the patch's centre.
    scale
        Factor of the size along the patch's axes (x, y, z), about its centre; a negative factor
        mirrors.
    elastic
        Displacement at coarse points of the patch, (3, d, h, w) float32 in voxels of the volume along
        (z, y, x), added to the positions; None for no displacement.
    appearances
        Change of the intensities of each channel; empty for no change.
    """

    case: int
    start: Triple
    angles_rad: Triple
    scale: Triple = (1.0, 1.0, 1.0)
    elastic: Tensor | None = None
    appearances: tuple[Appearance, ...] = ()


def crop_volume(
    volume: Volume, draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[Volume, PatchDraw]:
    """Crop a volume to the part that a patch needs.

    Parameters
    ----------
    volume
        The volume; it stays on its device.
    draw
        The patch in this volume.
    patch
        Patch size (D, H, W) = (z, y, x) in voxels.
    spacing_mm
        Voxel size (x, y, z).

    Returns
    -------
    volume : Volume
        The cropped volume, a view; at least one voxel along every axis.
    draw : PatchDraw
        The same patch in the cropped volume.
    """
    matrix, offset = index_motion(draw, patch, spacing_mm)
    moves = [0.0] * 3 if draw.elastic is None else draw.elastic.abs().amax((1, 2, 3)).tolist()
    lows, parts = [], []
    for row, first, side, move in zip(matrix, offset, volume.label.shape, moves, strict=True):
        # From the first voxel of the patch to its corners, on the near and on the far side.
        steps = [step * (count - 1) for step, count in zip(row, patch, strict=True)]
        near = first - move + sum(min(step, 0.0) for step in steps)
        far = first + move + sum(max(step, 0.0) for step in steps)
        # One voxel more than interpolation needs, so that the crop's border has no influence.
        low = min(max(math.floor(near) - 1, 0), side - 1)
        lows.append(low)
        parts.append(slice(low, max(min(math.ceil(far) + 2, side), low + 1)))
    z, y, x = (start - low for start, low in zip(draw.start, lows, strict=True))
    box = tuple(parts)
    cropped = replace(volume, image=volume.image[:, *box], label=volume.label[box])
    return cropped, replace(draw, start=(z, y, x))


def index_motion(
    draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[list[list[float]], list[float]]:
    """Compute the affine map from voxel indices of a patch to those of the volume, both (z, y, x).

    With the diagonal matrices S of the spacings and F of the scale, and the rotation R, an index
    difference d from the patch's centre is S d in millimetres, R F^-1 S d after scaling and rotation,
    and S^-1 R F^-1 S d in voxels of the volume. Without scaling the motion is therefore rigid in
    millimetres for any spacing.

    Parameters
    ----------
    draw
        Start, rotation and scale of the patch.
    patch
        Patch size (D, H, W) = (z, y, x) in voxels.
    spacing_mm
        Voxel size (x, y, z).

    Returns
    -------
    matrix : list of list of float
        3 x 3, rows and columns (z, y, x).
    offset : list of float
        Index (z, y, x) in the volume of the patch's first voxel after the motion; may be fractional.
    """
    rotation = _rotation_zyx(draw.angles_rad)
    spacing, scale = spacing_mm[::-1], draw.scale[::-1]
    matrix = [
        [rotation[i][j] * spacing[j] / spacing[i] / scale[j] for j in range(3)] for i in range(3)
    ]
    half = [(side - 1) / 2 for side in patch]
    offset = [
        draw.start[i] + half[i] - sum(matrix[i][j] * half[j] for j in range(3)) for i in range(3)
    ]
    return matrix, offset


def _rotation_zyx(angles_rad: Triple) -> list[list[float]]:
    """The rotation Rz Rx Ry, the order of ITK's Euler3DTransform; rows and columns (z, y, x)."""
    (cx, cy, cz), (sx, sy, sz) = map(math.cos, angles_rad), map(math.sin, angles_rad)
    about_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], dtype=torch.float64)
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], dtype=torch.float64)
    about_z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]], dtype=torch.float64)
    rotation: list[list[float]] = (about_z @ about_x @ about_y).flip(0, 1).tolist()
    return rotation
