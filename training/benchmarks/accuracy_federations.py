"""The federations of `accuracy.py`: their files, splits, configuration and number of steps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk
from federations import SITES as HIPPOCAMPUS_SITES
from federations import write_hippocampus

from fedcross.errors import DataError
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.file import load_config
from fedcross.training.config.site import ExplicitSplit
from fedcross.training.config.source import complete_values
from fedcross.training.data.phantom.files import site_sections
from fedcross.training.data.phantom.pelvis.federation import write_pelvis_federation
from fedcross.training.data.phantom.pelvis.tables import HOSPITALS
from fedcross.training.data.sites import find_all_cases

CONFIG = "accuracy.toml"
SPLIT_SEED = 1
BLOCKS = 3
VALIDATIONS = 8
HEAD = """
name = "{name}"
seed = {seed}

[method]
kind = "fedcross-ens"
rounds = {rounds}
local_epochs = {local_epochs}

[network]
name = "unet"
base_channels = {base_channels}
norm = "instance"

[preprocessing]
spacing_mm = {spacing_mm}
patch_size = {patch_size}
overlap = 0.5

[training]
batch_size = {batch}
patches_per_case = {batch}
optimizer = "sgd"
learning_rate = 0.02
momentum = 0.9
validate_every = {validate_every}
"""
STRUCTURE = """
[[structures]]
name = "{name}"
label = {label}
"""


@dataclass(frozen=True)
class Federation:
    """One federation.

    Attributes
    ----------
    title
        Title of its table.
    write
        Writes the images and label maps from a source folder (None for a phantom) into a folder.
    sites
        Names of the sites, which are the names of their folders.
    split
        Cases of every site for training, validation and test. With `rotates` the cases of the test
        depend on the seed, so that over the seeds every case is a test case.
    structures
        Names of the structures, with the labels 1, 2, ...
    spacing_mm, patch_size
        Voxel size and patch, (x, y, z).
    local_epochs
        Epochs of a visit.
    steps
        Number of optimiser steps of a run, over all of its models.
    base_channels, batch
        Channels of the first level and patches per step of our methods.
    """

    title: str
    write: Callable[[Path | None, Path], None]
    sites: tuple[str, ...]
    split: tuple[int, int, int]
    structures: tuple[str, ...]
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, int, int]
    local_epochs: int
    steps: int
    rotates: bool = False
    base_channels: int = 8
    batch: int = 4

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch at a site: as many patches of each case as a step has."""
        return self.split[0]

    def budget(self, steps: int) -> tuple[int, int]:
        """Return rounds and local epochs of a method with a model at every site in every round."""
        epochs = -(-steps // (len(self.sites) * self.steps_per_epoch))
        local_epochs = min(self.local_epochs, epochs)
        return -(-epochs // local_epochs), local_epochs

    def whole_steps(self, steps: int) -> int:
        """Return the number of steps of that many rounds, which is at least `steps`."""
        rounds, local_epochs = self.budget(steps)
        return rounds * local_epochs * len(self.sites) * self.steps_per_epoch


def read_federation(
    federation: Federation, source: Path | None, folder: Path, steps: int, seed: int
) -> TrainingConfig:
    """Write the federation if it does not exist; return its configuration with the splits of a seed.

    Parameters
    ----------
    federation
        What to write.
    source
        Folder with the original images; None for a phantom.
    folder
        Folder of the federation.
    steps
        Number of optimiser steps of a run.
    seed
        Seed of the run. The splits depend on it only if the federation `rotates`.
    """
    if not (folder / CONFIG).is_file():
        federation.write(source, folder)
    rounds, local_epochs = federation.budget(steps)
    text = HEAD.format(
        name=federation.title,
        seed=SPLIT_SEED,
        rounds=rounds,
        local_epochs=local_epochs,
        spacing_mm=list(federation.spacing_mm),
        patch_size=list(federation.patch_size),
        base_channels=federation.base_channels,
        batch=federation.batch,
        validate_every=max(1, rounds // VALIDATIONS),
    )
    for label, name in enumerate(federation.structures, start=1):
        text += STRUCTURE.format(name=name, label=label)
    _, validation, test = federation.split
    text += site_sections(federation.sites, sum(federation.split), validation=validation, test=test)
    (folder / CONFIG).write_text(text, encoding="utf-8")
    config = load_config(folder / CONFIG)
    sites = []
    for site, cases in zip(config.sites, find_all_cases(config), strict=True):
        split = {part: names for part, names in cases.names().items() if part != "unused"}
        if federation.rotates:
            names = sorted(name for part in split.values() for name in part)
            test = [names[seed % len(names)]]
            split = {"train": [n for n in names if n not in test], "validation": [], "test": test}
        sites.append(site.model_copy(update={"split": ExplicitSplit.model_validate(split)}))
    fixed = config.model_copy(update={"sites": tuple(sites), "seed": seed})
    return parse_config(complete_values(fixed), source=CONFIG)


def _needed(source: Path | None) -> Path:
    if source is None or not source.is_dir():
        raise DataError(
            f"The folder of the original images does not exist, got --data {source}.",
            "Point --data at it.",
        )
    return source


def _write_hippocampus(source: Path | None, folder: Path) -> None:
    write_hippocampus(_needed(source), folder)


def _write_pelvis(source: Path | None, folder: Path) -> None:
    write_pelvis_federation(folder, cases=8, seed=SPLIT_SEED)


def _write_sarcoma(source: Path | None, folder: Path) -> None:
    for site in SARCOMA_SITES:
        for kind in ("images", "labels"):
            (folder / site / kind).mkdir(parents=True, exist_ok=True)
            for path in sorted((_needed(source) / site / kind).glob("*.nii.gz")):
                sitk.WriteImage(sitk.ReadImage(str(path)), str(folder / site / kind / path.name))


def _write_spinal(source: Path | None, folder: Path) -> None:
    """Cut every volume into blocks of slices along the cord; a block is a case."""
    for site in SPINAL_SITES:
        for kind in ("images", "labels"):
            image = sitk.ReadImage(str(_needed(source) / kind / f"{site}.nii.gz"))
            axis = _axis_of_cord(image)
            (folder / site / kind).mkdir(parents=True, exist_ok=True)
            side = image.GetSize()[axis] // BLOCKS
            for block in range(BLOCKS):
                size, index = list(image.GetSize()), [0, 0, 0]
                size[axis], index[axis] = side, block * side
                part = sitk.RegionOfInterest(image, size, index)
                sitk.WriteImage(part, str(folder / site / kind / f"block-{block + 1}.nii.gz"))


def _axis_of_cord(image: sitk.Image) -> int:
    """Return the axis of the image that is nearest to the axis from foot to head."""
    upwards = image.GetDirection()[6:]
    return max(range(3), key=lambda axis: abs(upwards[axis]))


SARCOMA_SITES = ("MR_T1", "CT")
SPINAL_SITES = ("t1w", "t2")
FEDERATIONS = {
    "hippocampus": Federation(
        title="Hippocampus",
        write=_write_hippocampus,
        sites=tuple(HIPPOCAMPUS_SITES),
        split=(3, 1, 2),
        structures=("Anterior hippocampus", "Posterior hippocampus"),
        spacing_mm=(1.5, 1.5, 1.5),
        patch_size=(32, 32, 32),
        local_epochs=4,
        steps=2304,
        base_channels=32,  # as `fedcross plan` chooses them for cases of this size
        batch=2,
    ),
    "pelvis": Federation(
        title="Pelvis phantom",
        write=_write_pelvis,
        sites=tuple(HOSPITALS),
        split=(4, 1, 3),
        structures=("Phantom prostate",),
        spacing_mm=(1.25, 1.25, 3.0),
        patch_size=(96, 96, 16),
        local_epochs=3,
        steps=1536,
    ),
    "sarcoma": Federation(
        title="Soft-tissue sarcoma, MR and CT",
        write=_write_sarcoma,
        sites=SARCOMA_SITES,
        split=(2, 0, 1),
        structures=("Tumour",),
        spacing_mm=(2.0, 2.0, 3.27),
        patch_size=(64, 64, 16),
        local_epochs=6,
        steps=768,
        rotates=True,
    ),
    "spinal": Federation(
        title="Spinal cord, blocks of two volumes",
        write=_write_spinal,
        sites=SPINAL_SITES,
        split=(2, 0, 1),
        structures=("Spinal cord",),
        spacing_mm=(1.0, 1.0, 1.0),
        patch_size=(32, 32, 16),
        local_epochs=6,
        steps=384,
        rotates=True,
    ),
}
