"""Sites in memory: every training and validation case read, checked and preprocessed once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.infer.events import NullReporter, Reporter
from fedcross.infer.geometry import Grid
from fedcross.infer.preprocess import prepare
from fedcross.infer.volume_io import read_volume
from fedcross.model.manifest import Preprocessing
from fedcross.train.cases import SiteCases, find_cases
from fedcross.train.config import TrainingConfig
from fedcross.train.volumes import CaseFiles, Site, Volume

SHOWN_VALUES = 10


def find_all_cases(config: TrainingConfig) -> list[SiteCases]:
    """Find and split the cases of every site, in the configuration's order.

    Raises
    ------
    DataError
        As `cases.find_cases`, or if one image belongs to two sites.
    """
    found = [find_cases(site, config.data_root, config.seed) for site in config.sites]
    owner: dict[Path, str] = {}
    for site, cases in zip(config.sites, found, strict=True):
        for case in (*cases.train, *cases.validation, *cases.test):
            path = case.image.resolve()
            if path in owner:
                raise DataError(
                    f"The image of case {case.name} belongs to two sites, {owner[path]} and "
                    f"{site.name}: a test case of one could be a training case of the other."
                )
            owner[path] = site.name
    return found


def load_sites(
    config: TrainingConfig, found: Sequence[SiteCases], reporter: Reporter | None = None
) -> list[Site]:
    """Read and preprocess the training and validation cases of every site.

    Parameters
    ----------
    config
        The run's configuration.
    found
        From `find_all_cases`.
    reporter
        Hears of every case read.

    Raises
    ------
    DataError
        If a case cannot be used; it is named.
    """
    hear = reporter or NullReporter()
    total = sum(len(cases.train) + len(cases.validation) for cases in found)
    done = 0
    sites = []
    for site, cases in zip(config.sites, found, strict=True):
        label_map = site.label_map or {s.label: s.label for s in config.structures}
        volumes = []
        for case in (*cases.train, *cases.validation):
            volumes.append(load_volume(case, label_map, config.preprocessing, site.name))
            done += 1
            hear.progress(done, total, "read")
        count = len(cases.train)
        train, validation = tuple(volumes[:count]), tuple(volumes[count:])
        sites.append(Site(site.name, train, validation, cases.test, dict(label_map)))
    return sites


def load_volume(
    case: CaseFiles, label_map: Mapping[int, int], preprocessing: Preprocessing, site: str
) -> Volume:
    """Read one case and bring it onto the model's grid, the label by nearest neighbour."""
    image, label = read_case(case, label_map, site)
    prepared = prepare(image, preprocessing)
    mapped = sitk.GetImageFromArray(label)
    mapped.CopyInformation(image)
    oriented = sitk.GetArrayFromImage(sitk.DICOMOrient(mapped, preprocessing.orientation))
    on_grid = _nearest(oriented, prepared.oriented, prepared.grid)
    return Volume(case.name, torch.from_numpy(prepared.array), torch.from_numpy(on_grid))


def _nearest(label: NDArray[np.uint8], old: Grid, new: Grid) -> NDArray[np.uint8]:
    """Resample between grids of the same axes and centre, as `prepare` does the image.

    A sample half way between two voxels takes the one of the higher index, so that the result does
    not hang on how a file rounds its geometry.
    """
    picks = []
    for count, size, step, voxel in zip(
        new.shape, old.shape, new.spacing_mm[::-1], old.spacing_mm[::-1], strict=True
    ):
        positions = (np.arange(count) - (count - 1) / 2) * (step / voxel) + (size - 1) / 2
        picks.append(np.floor(positions + 0.5).astype(np.intp).clip(0, size - 1))
    return np.ascontiguousarray(label[np.ix_(*picks)])


def read_case(
    case: CaseFiles, label_map: Mapping[int, int], site: str
) -> tuple[sitk.Image, NDArray[np.uint8]]:
    """Read one case as stored.

    Parameters
    ----------
    case
        Its files.
    label_map
        Value in the file -> value in the output; 0 stays 0.
    site
        Named in errors.

    Returns
    -------
    image : SimpleITK.Image
        The volume.
    label : ndarray
        (D, H, W) uint8 on the image's grid, values mapped.

    Raises
    ------
    DataError
        If a file cannot be used, image and label do not lie on the same grid, or the label holds
        values that `label_map` does not know.
    """
    where = f"Case {case.name} of site {site}"
    try:
        image, label = read_volume(case.image), read_volume(case.label)
    except DataError as error:
        raise DataError(f"{where}: {error.message}", error.hint) from error
    _check_same_grid(image, label, where)
    return image, _mapped(sitk.GetArrayFromImage(label), label_map, where)


def _check_same_grid(image: sitk.Image, label: sitk.Image, where: str) -> None:
    """Files round their headers differently: a tenth of a voxel is no mismatch."""
    if image.GetSize() != label.GetSize():
        raise DataError(
            f"{where}: the image has {image.GetSize()} voxels, the label {label.GetSize()}."
        )
    spacing = np.asarray(image.GetSpacing())
    for what, ours, theirs, tolerance in (
        ("spacing", spacing, label.GetSpacing(), 1e-3 * spacing.min()),
        ("direction", image.GetDirection(), label.GetDirection(), 1e-3),
        ("origin", image.GetOrigin(), label.GetOrigin(), 0.1 * spacing.min()),
    ):
        if np.abs(np.subtract(ours, theirs)).max() > tolerance:
            raise DataError(
                f"{where}: the image's {what} is {_rounded(ours)}, the label's {_rounded(theirs)}."
            )


def _rounded(values: Any) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _mapped(label: NDArray[Any], label_map: Mapping[int, int], where: str) -> NDArray[np.uint8]:
    known = {0: 0, **label_map}
    values = np.unique(label)
    unknown = [value for value in values.tolist() if value not in known]
    if unknown:
        shown = ", ".join(f"{value:g}" for value in unknown[:SHOWN_VALUES])
        raise DataError(
            f"{where}: the label holds {shown}{' ...' if len(unknown) > SHOWN_VALUES else ''}; "
            f"known values are {', '.join(str(value) for value in sorted(known))}.",
            "Set the site's label_map.",
        )
    mapped = np.zeros(label.shape, np.uint8)
    for value in values.tolist():
        mapped[label == value] = known[int(value)]
    return mapped
