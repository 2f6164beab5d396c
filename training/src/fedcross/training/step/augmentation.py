"""Draw the random changes of patches from the figures of ``[augmentation]``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from fedcross.training.config.augmentation import AugmentationConfig
from fedcross.training.step.appearance import MOST_SEED, Appearance
from fedcross.training.step.patch_draw import PatchDraw, Shape, Triple

ANISOTROPIC = 2.0
"""Ratio of the longest to the shortest side from which voxels are called anisotropic."""

ELASTIC_SPACING, BIAS_SPACING = 24, 48
"""Distances between the points of the elastic displacement and of the bias field, in voxels."""

THROUGH_PLANE = 0.1
"""Share of the elastic displacement that remains through the plane of anisotropic voxels."""

SMALLEST_BLUR = 0.5
CURVE_POINTS = 6
GIN_CHANNELS, GIN_LAYERS = 2, 4


@dataclass(frozen=True)
class PatchChanges:
    """The random changes of the patches of one run.

    Attributes
    ----------
    settings
        The figures.
    flip_chance
        Probability that a patch is mirrored along x.
    patch
        Patch size (D, H, W) = (z, y, x) in voxels.
    spacing_mm
        Voxel size (x, y, z).
    channels
        Number of channels, each with an appearance of its own.
    """

    settings: AugmentationConfig
    flip_chance: float
    patch: Shape
    spacing_mm: Triple
    channels: int = 1

    def change(self, draws: Sequence[PatchDraw], generator: torch.Generator) -> list[PatchDraw]:
        """Return the patches with random shapes and intensities.

        Parameters
        ----------
        draws
            Patches with their positions; rotations and intensities are replaced.
        generator
            CPU generator of all random numbers; its state advances.
        """
        return [
            replace(
                draw,
                angles_rad=self._angles(generator),
                scale=self._scale(generator),
                elastic=self._elastic(generator),
                appearances=tuple(self._appearance(generator) for _ in range(self.channels)),
            )
            for draw in draws
        ]

    @property
    def _is_coarse(self) -> tuple[bool, bool, bool]:
        """Whether each axis (x, y, z) is one of the long sides of anisotropic voxels."""
        x, y, z = (side >= ANISOTROPIC * min(self.spacing_mm) for side in self.spacing_mm)
        return x, y, z

    def _angles(self, generator: torch.Generator) -> Triple:
        """Angles about (x, y, z): the rotation lies in the plane of two equal sides, others tilt."""
        coarse = self._is_coarse
        settings = self.settings
        angles = []
        for axis, turn in enumerate(_uniform(3, generator)):
            first, second = (coarse[other] for other in range(3) if other != axis)
            largest = settings.rotation_rad if first == second else settings.tilt_rad
            angles.append(largest * (2 * turn - 1))
        return angles[0], angles[1], angles[2]

    def _scale(self, generator: torch.Generator) -> Triple:
        """Factors along (x, y, z), log-uniform; short sides share one, and so do long sides."""
        fine, coarse, flip, *differences = _uniform(6, generator)
        largest = math.log(self.settings.scale)
        shared = [_spread(largest, value) for value in (fine, coarse)]
        x, y, z = (
            shared[is_coarse] * (1 + self.settings.scale_difference * (2 * value - 1))
            for is_coarse, value in zip(self._is_coarse, differences, strict=True)
        )
        return (-x if flip < self.flip_chance else x), y, z

    def _elastic(self, generator: torch.Generator) -> Tensor | None:
        (chance,) = _uniform(1, generator)
        if chance >= self.settings.elastic_probability:
            return None
        points = torch.rand(3, *_points(self.patch, ELASTIC_SPACING), generator=generator) * 2 - 1
        largest = [
            self.settings.elastic_voxels * (THROUGH_PLANE if is_coarse else 1.0)
            for is_coarse in self._is_coarse[::-1]
        ]
        return points * torch.tensor(largest)[:, None, None, None]

    def _appearance(self, generator: torch.Generator) -> Appearance:
        settings = self.settings
        bias, curve, gin, blur, low, gamma, inverted, contrast, noise = _uniform(9, generator)
        sizes = _uniform(7, generator)  # one for each change, whether it is made or not
        in_plane = [0.0 if is_coarse else 1.0 for is_coarse in self._is_coarse[::-1]]
        smallest = min(SMALLEST_BLUR, settings.blur_voxels)
        sigma = smallest + sizes[0] * (settings.blur_voxels - smallest)
        lost = (1 - settings.low_resolution) * sizes[1]
        is_blurred = blur < settings.blur_probability
        is_coarser = low < settings.low_resolution_probability
        has_gamma = gamma < settings.gamma_probability
        has_contrast = contrast < settings.contrast_probability
        return Appearance(
            bias=self._bias(generator) if bias < settings.bias_probability else None,
            curve=_curve(generator) if curve < settings.curve_probability else None,
            gin=self._gin(generator) if gin < settings.gin_probability else None,
            blur_voxels=_triple([sigma * axis * is_blurred for axis in in_plane]),
            resolution=_triple([1 - lost * axis * is_coarser for axis in in_plane]),
            gamma=_spread(settings.gamma, sizes[2]) if has_gamma else 1.0,
            is_inverted=inverted < settings.gamma_inverted,
            gain=_spread(settings.contrast, sizes[3]) if has_contrast else 1.0,
            shift=settings.brightness * (2 * sizes[4] - 1) if has_contrast else 0.0,
            noise=settings.noise * sizes[5] if noise < settings.noise_probability else 0.0,
            seed=int(sizes[6] * MOST_SEED),
        )

    def _bias(self, generator: torch.Generator) -> Tensor:
        points = torch.rand(_points(self.patch, BIAS_SPACING), generator=generator) * 2 - 1
        return self.settings.bias * points

    def _gin(self, generator: torch.Generator) -> tuple[tuple[Tensor, ...], float]:
        """Random kernels and the share of the convolutions' result.

        A kernel has 1 or 3 voxels along every axis, and 1 along the long sides of anisotropic voxels.
        """
        widths = [1, *[GIN_CHANNELS] * (GIN_LAYERS - 1), 1]
        sides = torch.randint(0, 2, (GIN_LAYERS,), generator=generator).tolist()
        reach = [not is_coarse for is_coarse in self._is_coarse[::-1]]
        kernels = tuple(
            torch.randn(
                after, before, *(1 + 2 * side * is_wide for is_wide in reach), generator=generator
            )
            for (before, after), side in zip(pairwise(widths), sides, strict=True)
        )
        return kernels, _uniform(1, generator)[0]


def _uniform(count: int, generator: torch.Generator) -> list[float]:
    values: list[float] = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    return values


def _spread(largest: float, value: float) -> float:
    """A factor from exp(-largest) to exp(largest)."""
    return math.exp(largest * (2 * value - 1))


def _points(patch: Shape, spacing: int) -> tuple[int, ...]:
    """Numbers of coarse points along each axis; at least the two borders."""
    return tuple(max(2, round(side / spacing) + 1) for side in patch)


def _curve(generator: torch.Generator) -> Tensor:
    """A random increasing curve from 0 to 1."""
    steps = torch.rand(CURVE_POINTS, generator=generator) + 0.05
    curve = torch.cat([torch.zeros(1), steps.cumsum(0)])
    return curve / curve[-1]


def _triple(values: Sequence[float]) -> Triple:
    x, y, z = values
    return x, y, z
