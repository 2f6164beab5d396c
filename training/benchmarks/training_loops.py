"""The loops that `training.py` compares, their data and their sizes."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from torch.utils.data import DataLoader, Dataset

from fedcross.model.networks import build_network, initialise
from fedcross.runtime.seeding import torch_generator
from fedcross.strategies.member import new_member
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.step.losses import dice_ce_loss
from fedcross.training.step.visit import visit

WORKERS = min(4, os.cpu_count() or 4)  # the first implementation has 4
ROTATION_RAD = 0.1
Tell = Callable[[int], None]


@dataclass(frozen=True)
class Size:
    """Size of the training; triples are (x, y, z)."""

    voxels: tuple[int, int, int]
    voxel_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    patch: tuple[int, int, int]
    base_channels: int
    norm: str
    batch: int
    cases: int


SIZES = {
    "demo": Size(
        (48, 48, 24), (2.0, 2.0, 3.0), (2.25, 2.25, 2.25), (48, 48, 32), 8, "instance", 2, 8
    ),
    "reference": Size(
        (320, 320, 24), (0.6, 0.6, 3.0), (0.5, 0.5, 1.0), (160, 160, 32), 32, "batch", 2, 2
    ),
}


def configuration(size: Size, folder: Path, epochs: int, preset: str = "paper") -> TrainingConfig:
    """Return a configuration of one site, one member and one visit with this number of epochs."""
    return parse_config(
        {
            "name": "Speed",
            "method": {"kind": "fedcross", "rounds": 1, "local_epochs": epochs},
            "network": {"name": "unet", "base_channels": size.base_channels, "norm": size.norm},
            "preprocessing": {"spacing_mm": size.spacing_mm, "patch_size": size.patch},
            "structures": [{"name": "Organ", "label": 1}],
            "training": {"batch_size": size.batch, "patches_per_case": 2},
            "augmentation": {"preset": preset},
            "sites": [
                {
                    "name": "site",
                    "images": "images",
                    "labels": "labels",
                    "split": [size.cases, 0, 0],
                }
            ],
        },
        source="benchmark",
    ).model_copy(update={"data_root": folder})


def make_cases(size: Size, folder: Path) -> None:
    """Write volumes of noise with a bright ball, as compressed NIfTI."""
    rng = np.random.default_rng(0)
    x, y, z = (np.linspace(-1, 1, n) for n in size.voxels)
    ball = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < 0.3
    for index in range(size.cases):
        image = sitk.GetImageFromArray(
            (rng.normal(100, 30, ball.shape) + 60 * ball).astype(np.int16)
        )
        label = sitk.GetImageFromArray(ball.astype(np.uint8))
        for kind, picture in (("images", image), ("labels", label)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            picture.SetSpacing(size.voxel_mm)
            sitk.WriteImage(picture, str(folder / kind / f"case-{index}.nii.gz"))


class FromFiles(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The samples of the peer; each access reads, normalises and resamples one."""

    def __init__(self, size: Size, folder: Path) -> None:
        self._size = size
        self._files = sorted((folder / "images").iterdir()) * 2  # two patches of every case

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path, size = self._files[index], self._size
        image = sitk.Normalize(sitk.ReadImage(str(path), sitk.sitkFloat32))
        label = sitk.ReadImage(str(path.parents[1] / "labels" / path.name))
        extent = [n * s for n, s in zip(size.voxels, size.voxel_mm, strict=True)]
        side = [n * s for n, s in zip(size.patch, size.spacing_mm, strict=True)]
        free = [max(e - s, 0.0) for e, s in zip(extent, side, strict=True)]
        origin = [f * u for f, u in zip(free, torch.rand(3).tolist(), strict=True)]
        centre = [o + s / 2 for o, s in zip(origin, side, strict=True)]
        turn = sitk.Euler3DTransform(centre, *(ROTATION_RAD * (2 * torch.rand(3) - 1)).tolist())
        grid = {"size": size.patch, "outputOrigin": origin, "outputSpacing": size.spacing_mm}
        arrays = [
            sitk.GetArrayFromImage(sitk.Resample(picture, transform=turn, interpolator=how, **grid))
            for picture, how in ((image, sitk.sitkLinear), (label, sitk.sitkNearestNeighbor))
        ]
        return torch.from_numpy(arrays[0]).float()[None], torch.from_numpy(arrays[1]).long()


def peer(size: Size, folder: Path, device: torch.device, epochs: int, tell: Tell) -> None:
    """Train, and report the number of samples after every epoch."""
    config = configuration(size, folder, epochs)
    network = build_network(config.network)
    initialise(network, torch_generator("benchmark", 0))
    network.to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.99, nesterov=True)
    data = FromFiles(size, folder)
    loader = DataLoader(data, size.batch, shuffle=True, num_workers=WORKERS)
    for _ in range(epochs):
        for images, labels in loader:
            loss = dice_ce_loss(network(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        tell(len(data))


def ours(
    size: Size,
    folder: Path,
    device: torch.device,
    epochs: int,
    tell: Tell,
    preset: str = "paper",
) -> None:
    """Train with a visit, and report the number of samples after every epoch."""
    config = configuration(size, folder, epochs, preset)
    (site,) = load_sites(config, find_all_cases(config))
    member = new_member(0, config.network, 0)
    visit(member, site, 0, config, device, lambda *_: tell(size.cases * 2))


def pair(size: Size, folder: Path, device: torch.device, epochs: int, tell: Tell) -> None:
    """Train two members at the same time, as ``--device cuda:0,cuda:0`` does."""
    config = configuration(size, folder, epochs)
    (site,) = load_sites(config, find_all_cases(config))
    both = threading.Barrier(2, action=lambda: tell(2 * size.cases * 2))

    def one(index: int) -> None:
        member = new_member(index, config.network, 0)
        with torch.cuda.stream(torch.cuda.Stream(device)):
            visit(member, site, 0, config, device, lambda *_: both.wait())

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))
