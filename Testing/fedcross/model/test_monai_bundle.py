import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser
from monai.data.meta_tensor import MetaTensor
from scipy import ndimage

from fedcross import segment
from fedcross.contract.files import SEGMENTATION
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.model.monai_files import build_inference_config
from fedcross.model.monai_resampling import ResampleToSpacing
from fedcross.model.networks import build_network, initialise
from fedcross.volumes.intensity import normalise
from fedcross.volumes.prepare import prepare

CT = {"intensity": "ct", "window": (-50.0, 120.0), "mean": 30.0, "std": 12.0}


def test_monais_runner_gives_the_mean_of_the_members(bundle: Bundle) -> None:
    """`python -m monai.bundle run` on a volume that is exactly one patch."""
    rng = np.random.default_rng(0)
    voxels = rng.normal(100, 20, (16, 32, 32)).astype(np.float32)
    image = sitk.GetImageFromArray(voxels)  # axes LPS, so that no axis is flipped
    image.SetSpacing((1.0, 1.0, 2.0))
    (bundle.path / "images").mkdir()
    sitk.WriteImage(image, str(bundle.path / "images" / "case.nii.gz"))
    found = run_monai(bundle)
    normal = (voxels - voxels.mean(dtype=np.float64)) / voxels.std(dtype=np.float64)
    x = torch.from_numpy(normal.astype(np.float32))[None, None]
    with torch.no_grad():
        expected = torch.stack([bundle.load_member(k)(x).softmax(1)[0] for k in range(2)]).mean(0)
    assert found.shape == (2, 16, 32, 32)
    assert np.allclose(found, expected.numpy(), atol=1e-4)


def test_monais_runner_gives_the_labels_of_fedcross(bundle: Bundle, tmp_path: Path) -> None:
    """Of a tilted volume with permuted axes and another spacing; every voxel, in the same place."""
    noise = np.random.default_rng(0).normal(0, 1, (22, 50, 61))
    image = sitk.GetImageFromArray(ndimage.gaussian_filter(noise, 2).astype(np.float32))
    image.SetSpacing((0.8, 0.7, 2.6))
    image.SetOrigin((5.0, -7.0, 11.0))
    tilt = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    permuted = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    image.SetDirection((tilt @ permuted).ravel().tolist())
    (bundle.path / "images").mkdir()
    file = bundle.path / "images" / "case.nii.gz"
    sitk.WriteImage(image, str(file))
    run_monai(bundle)
    (written,) = (bundle.path / "eval").rglob("*_labels.nii.gz")
    found = sitk.ReadImage(str(written))
    result = segment(file, bundle, out=tmp_path / "out", backend="torch")
    labels = sitk.ReadImage(str(tmp_path / "out" / SEGMENTATION))
    assert result is not None
    assert found.GetSize() == labels.GetSize() == image.GetSize()
    assert np.allclose(found.GetOrigin(), image.GetOrigin(), atol=1e-4)
    assert np.allclose(found.GetDirection(), image.GetDirection(), atol=1e-6)
    voxels = sitk.GetArrayFromImage(found)
    assert 0 < np.count_nonzero(voxels) < voxels.size
    # A voxel whose classes are equally probable to 1e-6 may get either label.
    assert np.count_nonzero(voxels != sitk.GetArrayFromImage(labels)) <= voxels.size // 10_000


def run_monai(bundle: Bundle) -> np.ndarray:
    """Run MONAI's runner on the only case; return the probabilities, (class, z, y, x)."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "monai.bundle", "run"),
            *("--config_file", "configs/inference.json", "--meta_file", "configs/metadata.json"),
        ],
        cwd=bundle.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    (written,) = (bundle.path / "eval").rglob("*_probabilities.nii.gz")
    # MONAI writes the classes as a fourth axis, in (x, y, z, class) order on disk.
    return sitk.GetArrayFromImage(sitk.ReadImage(str(written)))


def test_monais_runner_joins_several_channels_like_this_package(
    bundle: Bundle, tmp_path: Path
) -> None:
    """The second image has finer voxels in plane and covers the first."""
    architecture = UNetArchitecture(in_channels=2, base_channels=2, norm="batch")
    network = build_network(architecture)
    initialise(network, torch.Generator().manual_seed(0))
    manifest = bundle.manifest.model_dump(mode="json", exclude={"members", "schedule"})
    manifest["architecture"] = architecture.model_dump()
    manifest["preprocessing"]["channels"] = ["T2", "ADC"]
    two = write_bundle(tmp_path / "two", manifest, [network.state_dict()])
    first = sitk.GetImageFromArray(np.random.default_rng(0).normal(9, 2, (16, 32, 32)))
    first.SetSpacing((1.0, 1.0, 2.0))
    second = sitk.GetImageFromArray(np.random.default_rng(1).normal(9, 2, (18, 80, 80)))
    second.SetSpacing((0.5, 0.5, 2.0))
    second.SetOrigin((-2.0, -2.0, -2.0))
    (two.path / "images").mkdir()
    for index, image in enumerate((first, second)):
        path = two.path / "images" / f"case_000{index}.nii.gz"
        sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32), str(path))
    found = run_monai(two)
    steps = two.manifest.preprocessing
    x = torch.from_numpy(prepare(first, steps, [second]).array)[None]
    with torch.no_grad():
        expected = two.load_member(0)(x).softmax(1)[0]
    assert np.allclose(found, expected.numpy(), atol=1e-3)


FIELDS = {
    **dict.fromkeys(("schema", "version", "monai_version", "pytorch_version"), str),
    **dict.fromkeys(("numpy_version", "task", "description", "authors", "copyright"), str),
    **dict.fromkeys(("changelog", "required_packages_version", "network_data_format"), dict),
}
"""Keys that MONAI's specification and its schema of 2024-07-25 require, and their types."""
TENSOR_FIELDS = {
    **dict.fromkeys(("type", "format", "modality", "dtype"), str),
    **dict.fromkeys(("spatial_shape", "value_range"), list),
    "num_channels": int,
    "is_patch_data": bool,
    "channel_def": dict,
}


def test_metadata_has_the_fields_that_monai_requires(bundle: Bundle) -> None:
    content = json.loads((bundle.path / "configs" / "metadata.json").read_text())
    for key, kind in FIELDS.items():
        assert type(content[key]) is kind, key
    formats = content["network_data_format"]
    assert formats.keys() == {"inputs", "outputs"}
    for tensor in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert {key: type(value) for key, value in tensor.items()} == TENSOR_FIELDS
    outputs = formats["outputs"]["pred"]
    assert outputs["num_channels"] == 2
    assert outputs["channel_def"] == {"0": "background", "1": "Organ A"}


def test_no_file_of_a_bundle_contains_a_path_of_this_machine(bundle: Bundle) -> None:
    folder = str(Path(bundle.path).resolve().parent)
    for path in bundle.path.rglob("*"):
        if path.is_file():
            assert folder.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "intensity",
    [
        {},
        {"intensity": "zscore-nonzero"},
        {"intensity": "percentile", "percentiles": (2.0, 97.0)},
        CT,
    ],
)
def test_monais_transforms_normalise_as_fedcross_does(
    make_bundle: Callable[..., Bundle], intensity: dict[str, Any]
) -> None:
    settings = {"spacing_mm": (1.0, 1.0, 2.0), "patch_size": (32, 32, 16), **intensity}
    manifest = make_bundle(preprocessing=settings).manifest
    steps = build_inference_config(manifest)["preprocessing"]["transforms"]
    voxels = np.random.default_rng(0).normal(40, 60, (5, 6, 7)).astype(np.float32)
    voxels[:2] = 0
    data = {"image": torch.from_numpy(voxels)[None]}
    for step in steps:
        if "Intensity" in step["_target_"]:
            data = ConfigParser({"step": step}).get_parsed_content("step")(data)
    found = data["image"][0].numpy()
    np.testing.assert_allclose(found, normalise(voxels, manifest.preprocessing), atol=1e-4)


def test_the_resampling_for_monai_keeps_the_centre_and_has_an_inverse() -> None:
    """3 voxels of 2 mm become 6 of 1 mm: the first centre moves from 0 to -0.5 mm."""
    affine = torch.diag(torch.tensor([2.0, 1.0, 1.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.tensor([0.0, 4.0, 8.0]).reshape(1, 3, 1, 1), affine=affine)
    resample = ResampleToSpacing((1.0, 1.0, 1.0))
    fine = resample(image)
    assert fine.flatten().tolist() == [0.0, 1.0, 3.0, 5.0, 7.0, 8.0]
    assert fine.affine[0].tolist() == [1.0, 0.0, 0.0, -0.5]
    again = resample.inverse(fine)
    assert again.flatten().tolist() == [0.5, 4.0, 7.5]
    assert torch.equal(again.affine, affine)


def test_the_lists_of_the_metadata_hold_what_the_schema_asks_for(bundle: Bundle) -> None:
    content = json.loads((bundle.path / "configs" / "metadata.json").read_text())
    assert content["schema"].startswith("https://")
    formats = content["network_data_format"]
    for data in (*formats["inputs"].values(), *formats["outputs"].values()):
        assert all(isinstance(side, int) for side in data["spatial_shape"])
        assert all(isinstance(bound, int | float) for bound in data["value_range"])
        assert all(isinstance(name, str) for name in data["channel_def"].values())
