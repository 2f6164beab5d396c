"""Two federations whose sites differ, for benchmarks: phantoms, and real hippocampi."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from fedcross.errors import DataError
from fedcross.training.data.phantom.federation import write_phantom_federation
from fedcross.training.data.phantom.files import site_sections

CASES_PER_SITE = 6
PHANTOM_CASES = 16
NOISE = 0.5  # share of the image's standard deviation
CONFIG = "federation.toml"
BUDGET = """
[network]
name = "unet"
base_channels = 8
norm = "instance"

[training]
batch_size = 2
patches_per_case = {patches}
{optimiser}
foreground_fraction = {foreground}
validate_every = 4
keep = "best"

[augmentation]
preset = "paper"
"""
HIPPOCAMPUS = """
name = "Hippocampus, not iid"
seed = 1

[method]
kind = "fedcross-ens"
rounds = 12
local_epochs = 2

[preprocessing]
spacing_mm = [1.5, 1.5, 1.5]
patch_size = [32, 32, 32]
overlap = 0.5
modality = "MR"

[[structures]]
name = "Anterior hippocampus"
label = 1
color = [0.95, 0.75, 0.25]

[[structures]]
name = "Posterior hippocampus"
label = 2
color = [0.30, 0.65, 0.95]
"""
PHANTOM = """
name = "Phantom, not iid"
seed = 1

[method]
kind = "fedcross-ens"
rounds = 20
local_epochs = 2

[preprocessing]
spacing_mm = [3.0, 3.0, 3.0]
patch_size = [32, 32, 32]
overlap = 0.5
modality = "MR"

[[structures]]
name = "Phantom organ"
label = 1
color = [0.35, 0.9, 0.55]
"""


def inverted(image: sitk.Image, label: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Return the image with inverted intensities, as from another sequence."""
    return sitk.InvertIntensity(
        image, maximum=float(sitk.GetArrayViewFromImage(image).max())
    ), label


def noisy(image: sitk.Image, label: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Return the image as float32 with Gaussian noise of half its standard deviation.

    The noise is the same on every machine. That of ITK's filter depends on the number of threads.
    """
    values = sitk.GetArrayViewFromImage(image)
    noise = np.random.default_rng(1).normal(0, float(values.std()) * NOISE, values.shape)
    changed = sitk.GetImageFromArray((values + noise).astype(np.float32))
    changed.CopyInformation(image)
    return changed, label


def generous(image: sitk.Image, label: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Return the label map with one voxel more on every side of each structure."""
    drawn = sitk.GetArrayFromImage(label)
    distance, nearest = ndimage.distance_transform_edt(drawn == 0, return_indices=True)
    wider = sitk.GetImageFromArray(np.where(distance <= 1, drawn[tuple(nearest)], 0))
    wider.CopyInformation(label)
    return image, wider


def plain(image: sitk.Image, label: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Return the image unchanged."""
    return image, label


SITES = {"plain": plain, "inverted": inverted, "noisy": noisy, "generous": generous}


def write_hippocampus(source: Path, folder: Path) -> Path:
    """Write the federation; return its configuration."""
    names = sorted(path.name for path in (source / "images").glob("*.nii*"))
    if len(names) < len(SITES) * CASES_PER_SITE:
        raise DataError(
            f"There are {len(names)} images in {source.name}/images, and 24 are needed.",
            "Point --data at a folder with images/ and labels/.",
        )
    for place, (site, change) in enumerate(SITES.items()):
        for name in names[place * CASES_PER_SITE :][:CASES_PER_SITE]:
            image = sitk.ReadImage(str(source / "images" / name), sitk.sitkFloat32)
            label = sitk.ReadImage(str(source / "labels" / name), sitk.sitkUInt8)
            for kind, picture in zip(("images", "labels"), change(image, label), strict=True):
                (folder / site / kind).mkdir(parents=True, exist_ok=True)
                sitk.WriteImage(picture, str(folder / site / kind / name))
    # With so few steps of SGD some members still predict background everywhere.
    adamw = 'optimizer = "adamw"\nlearning_rate = 0.003'
    text = HIPPOCAMPUS + BUDGET.format(patches=4, foreground=0.5, optimiser=adamw)
    text += site_sections(list(SITES), CASES_PER_SITE, validation=1, test=2)
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder / CONFIG


def write_phantom(folder: Path, shift: float) -> Path:
    """Write four synthetic hospitals of 16 patients; return the configuration."""
    made = write_phantom_federation(folder, sites=4, cases=PHANTOM_CASES, shift=shift, seed=1)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    sgd = "learning_rate = 0.02\nmomentum = 0.9"
    text = PHANTOM + BUDGET.format(patches=1, foreground=0.0, optimiser=sgd)
    text += site_sections(names, PHANTOM_CASES, validation=2, test=4)
    made.unlink()
    (folder / CONFIG).write_text(text, encoding="utf-8")
    return folder / CONFIG


def share_half(rounds: int, members: int) -> dict[str, int]:
    """Return `rounds` and `shared_rounds` of an ensemble of which one member makes half of the visits.

    The number of visits is that of `rounds` rounds with all members.
    """
    shared = rounds * members // 2
    return {"rounds": shared + -(-shared // members), "shared_rounds": shared}
