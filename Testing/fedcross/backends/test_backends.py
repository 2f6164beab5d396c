import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch import nn

from fedcross.backends import compilation, factory
from fedcross.backends.factory import choose_backend
from fedcross.backends.rewrite.fold import fold_normalisation
from fedcross.backends.torch_backend import DevicePredictor, TorchPredictor
from fedcross.errors import BundleError, DeviceError
from fedcross.model.architecture import (
    Architecture,
    DynUNetArchitecture,
    SegResNetArchitecture,
    UNetArchitecture,
)
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.patches.placement import Box
from fedcross.patches.sliding_window import blend_patches
from fedcross.runtime.files.cache_folder import CACHE_VARIABLE
from randomised_networks import randomised_network

PATCH = (32, 64, 48)  # (z, y, x); differs from the size with which members are traced

needs_openvino = pytest.mark.skipif(not factory._has_openvino(), reason="OpenVINO is not installed")


@pytest.fixture(autouse=True)
def back_end() -> None:
    """Replaces the fixture that restricts tests to PyTorch: here all back-ends are used."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def bundle_of(architecture: Architecture, path: Path, members: int = 2) -> Bundle:
    manifest = {
        "name": "Tiny",
        "architecture": architecture.model_dump(mode="json"),
        "preprocessing": {
            "spacing_mm": (1.0, 1.0, 1.0),
            "patch_size": PATCH[::-1],
            "channels": [f"image {index}" for index in range(architecture.in_channels)],
        },
        "structures": [{"name": "A", "label": 1}],
        "calibration": {"temperature": 1.5},
        "provenance": {"created": "2026-01-31"},
    }
    weights = [
        deepcopy(randomised_network(architecture, seed)).float().state_dict()
        for seed in range(members)
    ]
    return write_bundle(path, manifest, weights)


NETWORKS: tuple[Architecture, ...] = (
    UNetArchitecture(base_channels=4, norm="batch"),
    UNetArchitecture(base_channels=4, norm="instance"),
    UNetArchitecture(base_channels=8, norm="group"),
    SegResNetArchitecture(blocks_down=(1, 1)),
    DynUNetArchitecture(filters=(8, 16, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))),
)

OF_SEVERAL_CHANNELS = (
    UNetArchitecture(base_channels=4, norm="batch", in_channels=2),
    UNetArchitecture(base_channels=4, norm="instance", in_channels=3),
    SegResNetArchitecture(blocks_down=(1, 1), in_channels=8),
    DynUNetArchitecture(
        filters=(8, 16, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)), in_channels=4
    ),
)


def describe(architecture: Architecture) -> str:
    return f"{architecture.name}-{architecture.norm}-{architecture.in_channels}"


@needs_openvino
@pytest.mark.parametrize("architecture", [*NETWORKS, *OF_SEVERAL_CHANNELS], ids=describe)
@pytest.mark.parametrize("name", ["tuned", "openvino"])
def test_every_back_end_agrees_with_eager_pytorch(
    tmp_path: Path, architecture: Architecture, name: str
) -> None:
    bundle = bundle_of(architecture, tmp_path / "b", members=1)
    size = (architecture.in_channels, *PATCH)
    patch = np.random.default_rng(0).normal(size=size).astype(np.float32)
    expected = choose_backend("torch", "cpu", "fp32").load(bundle, 0)(patch).copy()
    found = choose_backend(name, "cpu", "fp32").load(bundle, 0)(patch)
    assert found.shape == (2, *PATCH)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4
    assert expected.std() > 0.01  # the outputs are not constant


@needs_openvino
@pytest.mark.parametrize("name", ["tuned", "openvino"])
def test_bf16_differs_from_fp32_by_rounding_only(tmp_path: Path, name: str) -> None:
    bundle = bundle_of(NETWORKS[0], tmp_path / "b", members=1)
    patch = np.random.default_rng(0).normal(size=(1, *PATCH)).astype(np.float32)
    expected = choose_backend("torch", "cpu", "fp32").load(bundle, 0)(patch).copy()
    try:
        backend = choose_backend(name, "cpu", "bf16")
    except DeviceError:
        pytest.skip("this processor has no bf16")
    difference = np.abs(backend.load(bundle, 0)(patch) - expected).max()
    assert backend.precision == "bf16"
    assert 1e-5 < difference < 0.05  # bf16 rounds to 8 bits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", [*NETWORKS, *OF_SEVERAL_CHANNELS], ids=describe)
@pytest.mark.parametrize(
    ("name", "precision", "most"),
    [
        ("torch", "fp32", 1e-4),
        ("tuned", "fp32", 1e-4),
        ("tuned", "fp16", 0.01),
        ("tuned", "bf16", 0.05),
    ],
)
def test_a_gpu_agrees_with_the_cpu(
    tmp_path: Path, architecture: Architecture, name: str, precision: str, most: float
) -> None:
    bundle = bundle_of(architecture, tmp_path / "b")
    size = (architecture.in_channels, 40, 64, 60)
    volume = np.random.default_rng(0).normal(size=size).astype(np.float32)
    settings = {"patch": PATCH, "overlap": 0.25, "classes": 2}
    on_cpu = choose_backend("torch", "cpu", "fp32")
    on_gpu = choose_backend(name, "cuda:0", precision)
    for index in range(2):
        expected = blend_patches(on_cpu.load(bundle, index), volume, **settings)
        found = blend_patches(on_gpu.load(bundle, index), volume, **settings)
        assert np.abs(found - expected).max() < most


@needs_openvino
@pytest.mark.parametrize("name", ["torch", "tuned", "openvino"])
def test_a_bundle_whose_logits_overflow_fp32_is_refused(tmp_path: Path, name: str) -> None:
    architecture = NETWORKS[0]
    weights = deepcopy(randomised_network(architecture)).float().state_dict()
    weights["outconv.weight"].fill_(3e38)
    manifest = bundle_of(architecture, tmp_path / "b").manifest.model_dump(
        mode="json", exclude={"members"}
    )
    bundle = write_bundle(tmp_path / "large", manifest, [weights])
    patch = np.random.default_rng(0).normal(size=(1, *PATCH)).astype(np.float32)
    with pytest.raises(BundleError, match="not finite"):
        choose_backend(name, "cpu", "fp32").load(bundle, 0)(patch)


@needs_openvino
def test_a_result_is_not_overwritten_by_the_next_patch(tmp_path: Path) -> None:
    predict = choose_backend("openvino", "cpu", "fp32").load(
        bundle_of(NETWORKS[0], tmp_path / "b"), 0
    )
    first = predict(np.zeros((1, *PATCH), np.float32))
    kept = first.copy()
    predict(np.ones((1, *PATCH), np.float32))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("needed", [None, (slice(0, 9), slice(3, 20), slice(30, 41))])
def test_blending_on_the_device_equals_blending_on_the_host_bit_for_bit(
    needed: Box | None,
) -> None:
    """The predictor that blends on its device, with the CPU as device, equals the one for CPUs."""
    network = nn.Conv3d(1, 3, 3, padding=1).eval().requires_grad_(False)
    volume = np.random.default_rng(0).normal(size=(1, 27, 21, 41)).astype(np.float32)
    volume[..., :14] = 0  # air
    settings = {"patch": (8, 6, 10), "overlap": 0.6, "classes": 3, "needed": needed}
    cpu = torch.device("cpu")
    on_device, on_host = (
        blend_patches(kind(network, device=cpu, temperature=0.5), volume, **settings)
        for kind in (DevicePredictor, TorchPredictor)
    )
    assert np.array_equal(on_device, on_host)
    assert 0 < np.count_nonzero(on_host[1]) < on_host[1].size


def test_folding_removes_every_batch_normalisation_of_the_u_net() -> None:
    network = fold_normalisation(deepcopy(randomised_network(NETWORKS[0])))
    assert not any(isinstance(module, nn.BatchNorm3d) for module in network.modules())


@needs_openvino
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_cached_member_gives_the_same_result_as_the_compiled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, precision: str
) -> None:
    bundle = bundle_of(NETWORKS[0], tmp_path / "b")
    patch = np.random.default_rng(0).normal(size=(1, *PATCH)).astype(np.float32)
    try:
        backend = choose_backend("openvino", "cpu", precision)
    except DeviceError:
        pytest.skip("this processor has no bf16")
    first = backend.load(bundle, 0)(patch)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(compilation, "_convert_and_compile", never)
    again = choose_backend("openvino", "cpu", precision).load(bundle, 0)(patch)
    assert np.array_equal(again, first)
    assert len(list(cache.rglob("member_*"))) == 1


@needs_openvino
def test_a_network_that_openvino_cannot_compute_raises_device_error(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO fails like this for bf16 on a processor whose instruction set is limited to AVX2."""

    class Unable:
        def __init__(self) -> None:
            self._core = compilation.import_openvino().Core()

        def get_property(self, *names: str) -> object:
            return self._core.get_property(*names)

        def compile_model(self, *_: object) -> None:
            raise RuntimeError("could not create a primitive descriptor")

    bundle = bundle_of(NETWORKS[0], tmp_path / "b", members=1)
    with pytest.raises(DeviceError, match="network with bf16 on this processor") as caught:
        compilation.compile_member(Unable(), bundle, 0, "bf16")
    assert "--precision fp32" in caught.value.hint
    assert not list(cache.rglob("member_*"))


@needs_openvino
def test_with_openvino_neither_pytorch_nor_monai_nor_telemetry_is_imported(
    tmp_path: Path, cache: Path
) -> None:
    bundle = bundle_of(NETWORKS[0], tmp_path / "b")
    backend = choose_backend("openvino", "cpu", "fp32")
    for index in range(2):
        backend.load(bundle, index)
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=PATCH))
    sitk.WriteImage(image, str(tmp_path / "v.nrrd"))
    code = (
        "import sys; from fedcross.infer.__main__ import main; "
        "code = main(sys.argv[1:]); "
        "print([m for m in ('torch', 'monai') if m in sys.modules], "
        "sys.modules.get('openvino_telemetry'), code)"
    )
    given = ["--bundle", bundle.path, "--image", tmp_path / "v.nrrd", "--out", tmp_path / "out"]
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, given), "--backend", "openvino"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip().endswith("[] None 0")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["backend"], summary["precision"]) == ("openvino", "fp32")
    assert "OpenVINO" in summary["device"]
