"""A federation of a few small NIfTI volumes with one bright blob each, trained within a second."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.data.volumes import CaseFiles

SPACING_MM = (2.0, 2.0, 2.5)
SIZE = (36, 20, 18)  # x, y, z


def write_case(folder: Path, name: str, rng: np.random.Generator, *, value: int = 1) -> None:
    """Write ``images/NAME.nii.gz`` and ``labels/NAME.nii.gz`` under `folder`."""
    z, y, x = np.ogrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    centre = np.array(SIZE[::-1]) / 2 + rng.uniform(-1, 1, 3)
    blob = ((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2) < 6.0**2
    image = 100 + 80 * blob + rng.normal(0, 8, blob.shape)
    for kind, array in (("images", image.astype(np.int16)), ("labels", blob * np.uint8(value))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_array(folder / kind / f"{name}.nii.gz", array)


def write_array(path: Path, array: np.ndarray, spacing_mm: tuple[float, ...] = SPACING_MM) -> None:
    """Write an array (z, y, x) as an image with the given spacing (x, y, z)."""
    picture = sitk.GetImageFromArray(array)
    picture.SetSpacing(spacing_mm)
    sitk.WriteImage(picture, str(path))


def write_case_files(folder: Path, image: np.ndarray, label: np.ndarray) -> CaseFiles:
    """Write ``i.nii.gz`` and ``l.nii.gz`` into `folder`; return them as the case ``anna``."""
    write_array(folder / "i.nii.gz", image)
    write_array(folder / "l.nii.gz", label)
    return CaseFiles("anna", folder / "i.nii.gz", folder / "l.nii.gz")


def write_federation(
    folder: Path,
    *,
    sites: int = 2,
    cases: int = 3,
    split: tuple[int, int, int] = (1, 1, 1),
    extra: str = "",
    **method: Any,
) -> Path:
    """Write sites ``s0``, ``s1`` ... and ``config.toml``; return the configuration's path.

    `extra` is appended to the section ``[training]``, which is the last one; `method` are options of
    the section ``[method]``.
    """
    settings = {"rounds": 2, "local_epochs": 1, **method}
    lines = ['name = "Tiny"', "seed = 7", "[method]"]
    lines += [f"{key} = {value!r}" for key, value in settings.items()]
    lines += ["[network]", 'name = "unet"', "base_channels = 2", 'norm = "group"']
    lines += ["[preprocessing]", f"spacing_mm = {list(SPACING_MM)}", "patch_size = [32, 16, 16]"]
    lines += ["[[structures]]", 'name = "Blob"', "label = 1"]
    for index in range(sites):
        rng = np.random.default_rng(index)
        for case in range(cases):
            write_case(folder / f"s{index}", f"case-{case}", rng)
        lines += ["[[sites]]", f'name = "s{index}"', f'images = "s{index}/images"']
        lines += [f'labels = "s{index}/labels"', f"split = {list(split)}"]
    lines += ["[augmentation]", 'preset = "paper"']
    lines += [
        "[training]",
        'keep = "best"',
        "batch_size = 2",
        "patches_per_case = 2",
        "momentum = 0.9",
        extra,
    ]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tiny_config(folder: Path, **options: Any) -> TrainingConfig:
    """Write a federation with the options of `write_federation` and load its configuration."""
    return load_config(write_federation(folder, **options))
