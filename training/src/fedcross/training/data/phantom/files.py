"""The files of a synthetic federation: its new folder, its cases and its configuration."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import SimpleITK as sitk

from fedcross.errors import ConfigError, OutputError
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.volumes.files.write import write_volume

CONFIG = "phantom.toml"
MIN_CASES, MAX_CASES = 3, 10_000
MAX_SEED = 2**63 - 1

_SITE = """
[[sites]]
name = "{site}"
images = "{site}/images"
labels = "{site}/labels"
split = [{train}, {validation}, {test}]
"""


def check_numbers(numbers: Mapping[str, tuple[float, float, float]]) -> None:
    """Raise a `ConfigError` if a number is out of its range; name to (number, lowest, highest)."""
    for name, (value, low, high) in numbers.items():
        if not low <= value <= high:
            raise ConfigError(f"{name} must be from {low} to {high}, got {value}.")


@contextmanager
def new_federation(folder: Path) -> Iterator[Path]:
    """Yield the folder to write to, which becomes `folder`; after an error no folder remains.

    Raises
    ------
    OutputError
        If `folder` is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder.name} exists and is not empty.", "Choose another folder.")
    with atomic_folder(folder) as partial:
        yield partial


def write_case(folder: Path, case_index: int, image: sitk.Image, label: sitk.Image) -> None:
    """Write ``images/case-01.nii.gz`` and ``labels/case-01.nii.gz`` for index 0, and so on.

    Parameters
    ----------
    folder
        Folder of the site; created if it does not exist.
    case_index
        Number of the case, from 0.
    image, label
        Image and label map on one grid.
    """
    name = f"case-{case_index + 1:02d}.nii.gz"
    for kind, picture in (("images", image), ("labels", label)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_volume(picture, folder / kind / name)


def site_sections(names: Sequence[str], cases: int, *, validation: int, test: int) -> str:
    """Return the sections ``[[sites]]`` of the configuration; the other cases are for training."""
    return "".join(
        _SITE.format(site=name, train=cases - validation - test, validation=validation, test=test)
        for name in names
    )
