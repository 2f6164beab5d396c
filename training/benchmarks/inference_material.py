"""Volume and bundle of the inference benchmark: one structure, and members that segment it.

With random weights the labels would be random, and rounding would change them between back-ends. So the
reference U-Net is trained briefly on such structures; the members are slightly perturbed copies of it.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import write_bundle
from fedcross.model.networks import build_network, initialise
from fedcross.runtime.files.atomic import atomic_path
from fedcross.training.step.losses import dice_ce_loss

SPACING_MM = (0.6, 0.6, 3.0)
BOX_SIDE = 0.1 ** (
    1 / 3
)  # share of the volume's side: the structure's box is a tenth of the volume
CENTRE = (0.3, 0.3, 0.35)  # centre of the structure as a share of the volume's sides, (x, y, z)
TRAINING_STEPS = 150
TRAINING_SIDES = (16, 48, 48)  # voxels of a training volume, (z, y, x)
MEMBER_NOISE = 0.02  # relative standard deviation of the members' weights


def make_volume(path: Path, size: tuple[int, int, int]) -> None:
    """Write a noisy volume of `size` (x, y, z) with one bright ellipsoid."""
    rng = np.random.default_rng(0)
    position = np.indices(size[::-1], dtype=np.float32)  # (3, z, y, x)
    relative = position / np.array(size[::-1], np.float32)[:, None, None, None]
    offset = (relative - np.array(CENTRE[::-1], np.float32)[:, None, None, None]) / (BOX_SIDE / 2)
    voxels = rng.normal(100, 30, size[::-1]) + 90 * (np.square(offset).sum(axis=0) < 1)
    image = sitk.GetImageFromArray(voxels.astype(np.float32))
    image.SetSpacing(SPACING_MM)
    sitk.WriteImage(image, str(path))


def make_bundle(path: Path, members: int) -> None:
    """Write a bundle of `members` perturbed copies of the trained network.

    The trained network is stored beside the bundle and reused.
    """
    trained = path.parent / "network.safetensors"
    if not trained.exists():
        with atomic_path(trained) as partial:
            save_file(_train(), partial)
    network = load_file(trained)
    manifest = {
        "name": "Benchmark",
        "architecture": UNetArchitecture(norm="batch").model_dump(),
        "preprocessing": {"spacing_mm": (0.5, 0.5, 1.0), "patch_size": (160, 160, 32)},
        "structures": [{"name": "Ellipsoid", "label": 1}],
        "provenance": {"created": "2026-01-01"},
    }
    write_bundle(path, manifest, [_perturb(network, seed) for seed in range(members)])


def _train() -> dict[str, Tensor]:
    """Return the weights of the reference U-Net after a short training on noisy ellipsoids."""
    generator = torch.Generator().manual_seed(0)
    network = build_network(UNetArchitecture(norm="batch"))
    initialise(network, generator)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    axes = [torch.linspace(-1, 1, side) for side in TRAINING_SIDES]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    for step in range(TRAINING_STEPS):
        centre = (torch.rand(3, generator=generator) - 0.5)[:, None, None, None]
        label = (((grid - centre) ** 2).sum(0) < 0.45).long()[None]
        noise = torch.randn(1, 1, *TRAINING_SIDES, generator=generator)
        optimiser.zero_grad()
        dice_ce_loss(network(noise * 0.6 + 2 * label[:, None]), label).backward()
        optimiser.step()
        print(f"training the benchmark's network: {step + 1}/{TRAINING_STEPS}", flush=True)
    return dict(network.state_dict())


def _perturb(network: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {name: tensor.clone() for name, tensor in network.items()}
    for name, tensor in state.items():
        if tensor.is_floating_point() and name.endswith("weight"):
            tensor.mul_(1 + MEMBER_NOISE * torch.randn(tensor.shape, generator=generator))
    return state
