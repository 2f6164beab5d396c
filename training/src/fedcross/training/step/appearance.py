"""Random changes of a patch's intensities that imitate other scanners and protocols.

All numbers but the noise are drawn beforehand on the CPU. An `Appearance` without noise therefore gives
the same patch on every device up to rounding, and no step waits for the device.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-6

MOST_SEED = 2**62
"""Seeds of noise are below this number."""


@dataclass(frozen=True)
class Appearance:
    """The changes of one channel of one patch, in the order in which they are applied.

    Attributes
    ----------
    bias
        Logarithm of the bias field at coarse points, (d, h, w) float32; None for no bias field.
    curve
        Values from 0 to 1, in increasing order, of a curve at equally spaced intensities, (n,)
        float32; None for no curve.
    gin
        Kernels of the random convolutions, see `_convolve`, and the share of their result; None for
        none.
    blur_voxels
        Standard deviation of the blur along every axis (z, y, x), in voxels.
    resolution
        Share of the resolution along every axis (z, y, x) that remains, above 0 and at most 1.
    gamma
        Exponent of the intensities, scaled to the range from 0 to 1; 1 for no change.
    is_inverted
        Whether the exponent acts on 1 minus the intensity.
    gain, shift
        Factor of the intensities, and what is added afterwards in standard deviations of the volume.
    noise
        Standard deviation of Gaussian noise.
    seed
        Seed of the noise, which is drawn on the patch's device.
    """

    bias: Tensor | None = None
    curve: Tensor | None = None
    gin: tuple[tuple[Tensor, ...], float] | None = None
    blur_voxels: tuple[float, float, float] = (0.0, 0.0, 0.0)
    resolution: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    is_inverted: bool = False
    gain: float = 1.0
    shift: float = 0.0
    noise: float = 0.0
    seed: int = 0


def change_appearance(image: Tensor, appearance: Appearance) -> Tensor:
    """Change the intensities of one channel of a patch.

    Parameters
    ----------
    image
        (D, H, W) float32, z-scores of the volume; not changed.
    appearance
        The changes.

    Returns
    -------
    Tensor
        (D, H, W) float32 on the same device. Bias field, curve, GIN and gamma keep the patch's mean
        and standard deviation. An image of one value stays as it is under them.
    """
    if appearance.bias is not None:
        image = _keep_moments(_with_bias(image, appearance.bias), image)
    if appearance.curve is not None:
        image = _keep_moments(_along_curve(image, appearance.curve), image)
    if appearance.gin is not None:
        kernels, share = appearance.gin
        image = _keep_moments(share * _convolve(image, kernels) + (1 - share) * image, image)
    if any(appearance.blur_voxels):
        image = _blur(image, appearance.blur_voxels)
    if min(appearance.resolution) < 1:
        image = _lower_resolution(image, appearance.resolution)
    if appearance.gamma != 1:
        image = _with_gamma(image, appearance.gamma, is_inverted=appearance.is_inverted)
    if (appearance.gain, appearance.shift) != (1.0, 0.0):
        image = image * appearance.gain + appearance.shift
    if appearance.noise > 0:
        image = image + appearance.noise * draw_noise(image, appearance.seed)
    return image


def draw_noise(image: Tensor, seed: int) -> Tensor:
    """Return standard Gaussian noise of the image's shape, drawn with a seed on the image's device."""
    generator = torch.Generator(image.device).manual_seed(seed)
    return torch.randn(image.shape, generator=generator, device=image.device)


def enlarge(points: Tensor, size: tuple[int, ...], device: torch.device) -> Tensor:
    """Interpolate values at coarse points to a patch.

    Parameters
    ----------
    points
        (C, d, h, w) float32; the outermost points lie on the outermost voxels.
    size
        Size (D, H, W) of the patch.
    device
        Device of the result.

    Returns
    -------
    Tensor
        (C, D, H, W) float32, trilinear between the points.
    """
    grid = points.to(device, non_blocking=True)[None]
    return F.interpolate(grid, size, mode="trilinear", align_corners=True)[0]


def _unit_range(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The image scaled to the range from 0 to 1, its smallest value and its range."""
    low, high = torch.aminmax(image)
    extent = (high - low).clamp_min(TINY)
    return (image - low) / extent, low, extent


def _keep_moments(changed: Tensor, image: Tensor) -> Tensor:
    """`changed` with the mean and the standard deviation of `image`."""
    spread, mean = torch.std_mean(changed)
    old_spread, old_mean = torch.std_mean(image)
    return (changed - mean) * (old_spread / spread.clamp_min(TINY)) + old_mean


def _with_bias(image: Tensor, bias: Tensor) -> Tensor:
    """The image multiplied by the field, counted from its smallest value."""
    field = enlarge(bias[None], tuple(image.shape), image.device)[0].exp()
    return (image - image.amin()) * field


def _along_curve(image: Tensor, curve: Tensor) -> Tensor:
    unit, _, _ = _unit_range(image)
    curve = curve.to(image.device, non_blocking=True)
    place = unit * (len(curve) - 1)
    left = place.long().clamp_max(len(curve) - 2)
    return torch.lerp(curve[left], curve[left + 1], place - left)


def _convolve(image: Tensor, kernels: tuple[Tensor, ...]) -> Tensor:
    """The image after random convolutions with leaky rectifiers between them.

    GIN of Ouyang et al., "Causality-inspired single-source domain generalization for medical image
    segmentation", IEEE TMI 2022 (arXiv 2111.12525). `kernels` are (out, in, k, k, k) float32 with k
    odd; the first takes and the last gives one channel.
    """
    features = image[None, None]
    for index, kernel in enumerate(kernels):
        if index:
            features = F.leaky_relu(features)
        padding = [side // 2 for side in kernel.shape[2:]]
        features = F.conv3d(features, kernel.to(image.device, non_blocking=True), padding=padding)
    return features[0, 0]


def _blur(image: Tensor, sigmas: tuple[float, float, float]) -> Tensor:
    """Gaussian blur along each axis; beyond the border the outermost voxel is repeated."""
    for axis, sigma in enumerate(sigmas):
        if sigma == 0 or image.shape[axis] == 1:
            continue
        radius = min(max(1, round(3 * sigma)), image.shape[axis] - 1)
        steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
        weights = (-0.5 * (steps / sigma) ** 2).exp()
        weights /= weights.sum()
        count = image.shape[axis]
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, count - 1, 1)
        padded = torch.cat([*[first] * radius, image, *[last] * radius], axis)
        image = torch.zeros_like(image)
        for offset, weight in enumerate(weights.tolist()):
            image.add_(padded.narrow(axis, offset, count), alpha=weight)
    return image


def _lower_resolution(image: Tensor, shares: tuple[float, float, float]) -> Tensor:
    """The image averaged over larger voxels, interpolated back to its own."""
    small = [max(1, round(n * share)) for n, share in zip(image.shape, shares, strict=True)]
    coarse = F.interpolate(image[None, None], small, mode="area")
    return F.interpolate(coarse, tuple(image.shape), mode="trilinear", align_corners=False)[0, 0]


def _with_gamma(image: Tensor, gamma: float, *, is_inverted: bool) -> Tensor:
    unit, _, _ = _unit_range(image)
    changed = 1 - (1 - unit) ** gamma if is_inverted else unit**gamma
    return _keep_moments(changed, image)
