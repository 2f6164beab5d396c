"""Training patches: a rigid motion in millimetres, sampled on the device where the volume lies.

Where a patch lies is drawn on the CPU from a generator that the caller seeds, so that the same seed
gives the same patches on every device.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from fedcross.train.data.volumes import Volume

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PatchDraw:
    """Where one patch lies.

    Attributes
    ----------
    case
        Index of the volume.
    start
        (z, y, x) index of the patch's first voxel in the volume before rotation; not necessarily
        whole.
    angles_rad
        Rotation about the x, y and z axis through the patch's centre.
    gain, shift
        What its intensities are multiplied with, and what is added then.
    """

    case: int
    start: Triple
    angles_rad: Triple
    gain: float = 1.0
    shift: float = 0.0


def draw_epoch(
    volumes: Sequence[Volume],
    *,
    patch: Shape,
    patches_per_case: int,
    rotation_rad: float,
    foreground_fraction: float,
    generator: torch.Generator,
    intensity: float = 0.0,
) -> list[PatchDraw]:
    """Draw one epoch's patches, in the order in which they are trained.

    Parameters
    ----------
    volumes
        The site's training cases.
    patch
        (D, H, W) in voxels.
    patches_per_case
        How many of each case.
    rotation_rad
        Each angle is uniform within plus and minus this.
    foreground_fraction
        Probability that a patch is placed so that a random labelled voxel lies in it; otherwise its
        start is uniform over all that keep it inside the volume. An axis that is shorter than the
        patch is centred.
    generator
        CPU generator; its state moves on.
    intensity
        Gains are uniform within 1 plus and minus this, shifts within plus and minus this, in standard
        deviations of the volume.
    """
    cases = torch.arange(len(volumes)).repeat_interleave(patches_per_case)
    cases = cases[torch.randperm(len(cases), generator=generator)]
    places = torch.rand(len(cases), 3, generator=generator, dtype=torch.float64)
    turns = torch.rand(len(cases), 3, generator=generator, dtype=torch.float64) * 2 - 1
    chances = torch.rand(len(cases), 2, generator=generator, dtype=torch.float64)
    shades = [(1.0, 0.0)] * len(cases)
    if intensity > 0:  # drawn last, so that without it the same seed gives the same patches
        pairs = torch.rand(len(cases), 2, generator=generator, dtype=torch.float64) * 2 - 1
        shades = [(1 + intensity * gain, intensity * shift) for gain, shift in pairs.tolist()]
    draws = []
    for case, place, turn, (chance, pick), shade in zip(
        cases.tolist(), places.tolist(), turns.tolist(), chances.tolist(), shades, strict=True
    ):
        volume = volumes[case]
        room = [size - side for size, side in zip(volume.label.shape, patch, strict=True)]
        target = _foreground_voxel(volume, pick) if chance < foreground_fraction else None
        start = [
            _start(free, side, fraction, None if target is None else target[axis])
            for axis, (free, side, fraction) in enumerate(zip(room, patch, place, strict=True))
        ]
        angles = [rotation_rad * value for value in turn]
        draws.append(
            PatchDraw(
                case,
                (start[0], start[1], start[2]),
                (angles[0], angles[1], angles[2]),
                *shade,
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
    """Cut out a batch.

    Parameters
    ----------
    volumes
        The cases. What lies elsewhere than on `device` is cropped there to what the patch sees, and
        only that is brought over.
    draws
        One per patch.
    patch
        (D, H, W) in voxels.
    spacing_mm
        (x, y, z) of the volumes and the patches.
    device
        Where the patches are wanted; None is where the volumes are.

    Returns
    -------
    images : Tensor
        (N, 1, D, H, W) float32, trilinear; 0 (the mean of z-score intensities) outside the volume.
    labels : Tensor
        (N, D, H, W) int64, nearest voxel; 0 outside.
    """
    pairs = []
    for draw in draws:
        volume = volumes[draw.case]
        if device is not None and volume.image.device != device:
            volume, draw = around(volume, draw, patch, spacing_mm)
            volume = volume.to(device)
        pairs.append(sample_patch(volume, draw, patch, spacing_mm))
    return torch.stack([image for image, _ in pairs]), torch.stack([label for _, label in pairs])


def sample_patch(
    volume: Volume, draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[Tensor, Tensor]:
    """Cut out one patch: image (1, D, H, W) float32 and label (D, H, W) int64."""
    shape = volume.image.shape
    matrix, offset = index_motion(draw, patch, spacing_mm)
    device = volume.image.device
    z, y, x = (torch.arange(side, device=device, dtype=torch.float32) for side in patch)
    # Per input axis: where every voxel of the patch lies, as a broadcast sum of three vectors.
    where = [
        (row[0] * z + shift)[:, None, None] + (row[1] * y)[:, None] + row[2] * x
        for row, shift in zip(matrix, offset, strict=True)
    ]
    # grid_sample wants (x, y, z) with -1 and 1 at the outer borders of the outermost voxels.
    grid = torch.stack([(2 * w + 1) / n - 1 for w, n in zip(where, shape, strict=True)][::-1], -1)
    image = F.grid_sample(volume.image[None, None], grid[None], align_corners=False)[0]
    if (draw.gain, draw.shift) != (1.0, 0.0):
        image = image * draw.gain + draw.shift

    inside = torch.ones(patch, dtype=torch.bool, device=device)
    flat = torch.zeros(patch, dtype=torch.int64, device=device)
    for w, n in zip(where, shape, strict=True):
        nearest = (w + 0.5).floor().long()
        inside &= (nearest >= 0) & (nearest < n)
        flat = flat * n + nearest.clamp(0, n - 1)
    return image, torch.take(volume.label, flat).long() * inside


def around(
    volume: Volume, draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[Volume, PatchDraw]:
    """The part of a volume that a patch sees, and where the patch lies in it."""
    matrix, offset = index_motion(draw, patch, spacing_mm)
    lows, parts = [], []
    for row, first, side in zip(matrix, offset, volume.image.shape, strict=True):
        # From the first voxel of the patch to its corners, on the near and on the far side.
        steps = [step * (count - 1) for step, count in zip(row, patch, strict=True)]
        near = first + sum(min(step, 0.0) for step in steps)
        far = first + sum(max(step, 0.0) for step in steps)
        # One voxel more than interpolation looks at: the crop's own border is never seen.
        low = min(max(math.floor(near) - 1, 0), side - 1)
        lows.append(low)
        parts.append(slice(low, max(min(math.ceil(far) + 2, side), low + 1)))
    z, y, x = (start - low for start, low in zip(draw.start, lows, strict=True))
    box = tuple(parts)
    cropped = replace(volume, image=volume.image[box], label=volume.label[box])
    return cropped, replace(draw, start=(z, y, x))


def index_motion(
    draw: PatchDraw, patch: Shape, spacing_mm: Triple
) -> tuple[list[list[float]], list[float]]:
    """The affine map from a patch's voxel indices to the volume's, both (z, y, x).

    With S the diagonal of spacings and R the rotation, an index difference d from the patch's
    centre is S d millimetres, rotated R S d, and so S^-1 R S d voxels in the volume: rigid in
    millimetres, whatever the voxels' proportions.

    Returns
    -------
    matrix : list of list of float
        3 x 3.
    offset : list of float
        Where the patch's first voxel comes from.
    """
    rotation = _rotation_zyx(draw.angles_rad)
    spacing = spacing_mm[::-1]
    matrix = [[rotation[i][j] * spacing[j] / spacing[i] for j in range(3)] for i in range(3)]
    half = [(side - 1) / 2 for side in patch]
    offset = [
        draw.start[i] + half[i] - sum(matrix[i][j] * half[j] for j in range(3)) for i in range(3)
    ]
    return matrix, offset


def _rotation_zyx(angles_rad: Triple) -> list[list[float]]:
    """Rz Rx Ry (the order of ITK's Euler3DTransform), rows and columns in (z, y, x) order."""
    (cx, cy, cz), (sx, sy, sz) = map(math.cos, angles_rad), map(math.sin, angles_rad)
    about_x = torch.tensor([[1, 0, 0], [0, cx, -sx], [0, sx, cx]], dtype=torch.float64)
    about_y = torch.tensor([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]], dtype=torch.float64)
    about_z = torch.tensor([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]], dtype=torch.float64)
    rotation: list[list[float]] = (about_z @ about_x @ about_y).flip(0, 1).tolist()
    return rotation


def _start(free: int, side: int, fraction: float, target: int | None) -> float:
    """Start along one axis: anywhere in the `free` voxels, or such that `target` lies inside."""
    if free <= 0:
        return float(free // 2)
    if target is None:
        return fraction * free
    low, high = max(0, target - side + 1), min(free, target)
    return low + fraction * (high - low)


def _foreground_voxel(volume: Volume, pick: float) -> tuple[int, int, int] | None:
    """The labelled voxel at the fraction `pick` of all of them, (z, y, x); None if there is none."""
    voxels = volume.foreground
    if len(voxels) == 0:
        return None
    place, (_, rows, columns) = int(voxels[int(pick * len(voxels))]), volume.label.shape
    return place // (rows * columns), place // columns % rows, place % columns
