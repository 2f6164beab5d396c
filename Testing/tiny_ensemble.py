"""A small ensemble and volumes for the inference tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from fedcross.backends import factory
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.model.networks import build_network, initialise

__all__ = [  # the fixtures, for `from tiny_ensemble import *` in a conftest
    "asymmetric_members",
    "back_end",
    "blobs",
    "bundle",
    "image_path",
    "make_bundle",
    "single_thread",
    "volume",
]

STRUCTURES = (
    {
        "name": "Left kidney",
        "label": 1,
        "color": (0.8, 0.4, 0.2),
        "type": {"value": "64033007", "meaning": "Kidney"},
    },
    {"name": "Tumor, solid", "label": 2, "color": (0.1, 0.6, 0.3)},
)


class AsymmetricNetwork(nn.Module):
    """A network whose output depends on intensity, on neighbours on one side, and on depth.

    If axes are swapped or flipped between input and output, its output changes.
    """

    def __init__(self, member: int, classes: int) -> None:
        super().__init__()
        self.member = member
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        before_x = torch.roll(x, 2, dims=-1)
        before_z = torch.roll(x, 1, dims=-3)
        depth = torch.linspace(-1, 1, x.shape[2])[None, None, :, None, None]
        score = 4 * x + 2 * before_x - 2 * before_z + 0.3 * depth - 2 + 0.3 * self.member
        logits = [torch.zeros_like(x), score, 2 * score - 6]
        return torch.cat(logits[: self.classes], dim=1)


@pytest.fixture(autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use PyTorch, which can run the tests' own networks; `test_backends` tests all back-ends."""
    monkeypatch.setattr(factory, "_has_openvino", lambda: False)


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    """Return a function that writes a bundle of tiny, randomly initialised reference networks."""

    def make(
        *,
        members: int = 3,
        structures: int = 2,
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 2.0),
        patch_size: tuple[int, int, int] = (32, 32, 16),
        temperature: float = 1.0,
        channels: tuple[str, ...] = (),
        **preprocessing: object,
    ) -> Bundle:
        architecture = UNetArchitecture(
            in_channels=max(1, len(channels)),
            base_channels=2,
            classes=structures + 1,
            norm="batch",
        )
        weights = []
        for member in range(members):
            network = build_network(architecture)
            initialise(network, torch.Generator().manual_seed(member))
            weights.append(network.state_dict())
        manifest = {
            "name": "Tiny",
            "architecture": architecture.model_dump(),
            "preprocessing": {
                "spacing_mm": spacing_mm,
                "patch_size": patch_size,
                "channels": channels,
                **preprocessing,
            },
            "structures": STRUCTURES[:structures],
            "calibration": {"temperature": temperature},
            "provenance": {"created": "2026-01-31"},
        }
        return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny", manifest, weights)

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def asymmetric_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the members of every bundle by `AsymmetricNetwork`."""
    monkeypatch.setattr(
        Bundle,
        "load_member",
        lambda self, index, device: AsymmetricNetwork(index, self.manifest.architecture.classes),
    )


@pytest.fixture(scope="session")
def blobs() -> NDArray[np.float32]:
    """A smooth volume without symmetry, (z, y, x) = (18, 30, 41), values from 0 to 1000."""
    noise = np.random.default_rng(7).standard_normal((18, 30, 41))
    smooth = ndimage.gaussian_filter(noise, (2, 4, 4))
    smooth -= smooth.min()
    return (1000 * smooth / smooth.max()).astype(np.float32)


@pytest.fixture
def volume(blobs: NDArray[np.float32]) -> sitk.Image:
    """`blobs` as an anisotropic image with axes LPS."""
    image = sitk.GetImageFromArray(blobs)
    image.SetSpacing((1.1, 0.9, 2.5))
    image.SetOrigin((-31.5, 12.25, 100.125))
    return image


@pytest.fixture
def image_path(volume: sitk.Image, tmp_path: Path) -> Path:
    path = tmp_path / "volume.nrrd"
    sitk.WriteImage(volume, str(path))
    return path
