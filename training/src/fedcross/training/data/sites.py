"""Load the sites: every training and validation case is read, checked and preprocessed once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from fedcross.errors import DataError
from fedcross.runtime.files.walk import real_path
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.cache import VolumeCache, cache_key
from fedcross.training.data.cases import find_cases
from fedcross.training.data.reading import read_case, read_further, with_case_name
from fedcross.training.data.splits import SiteCases
from fedcross.training.data.volumes import CaseFiles, ImageFile, Site, Volume
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import prepare
from fedcross.volumes.preprocessing import Preprocessing


def find_all_cases(config: TrainingConfig) -> list[SiteCases]:
    """Find and split the cases of every site, in the configuration's order.

    Raises
    ------
    DataError
        If a site's cases cannot be found or split, see `find_cases`; or if two cases share an image.
    """
    found = [
        find_cases(site, config.data_root, config.seed, config.preprocessing.channel_names)
        for site in config.sites
    ]
    owner: dict[ImageFile, tuple[str, str]] = {}
    for site, cases in zip(config.sites, found, strict=True):
        for case in (*cases.train, *cases.validation, *cases.test):
            images = [ImageFile(real_path(image.path), image.channel) for image in case.images]
            others = [owner[image] for image in images if image in owner]
            if others:
                raise _shared_image(case.name, site.name, *others[0])
            owner |= dict.fromkeys(images, (case.name, site.name))
    return found


def _shared_image(case: str, site: str, other: str, other_site: str) -> DataError:
    """The error of a case whose image is also that of another case."""
    if site == other_site:
        return DataError(
            f"Cases {other} and {case} of site {site} have the same image: one could be a test case and "
            "the other a training case.",
            "Name one of them in exclude, or correct the list.",
        )
    return DataError(
        f"The image of case {case} belongs to two sites, {other_site} and {site}: a test case of one "
        "could be a training case of the other.",
        "Name the case in exclude at one of them.",
    )


def load_sites(
    config: TrainingConfig, found: Sequence[SiteCases], reporter: Reporter | None = None
) -> list[Site]:
    """Read and preprocess the training and validation cases of every site.

    With a cache in the configuration, volumes already in it are not made again, and all volumes are
    memory-mapped from the disk.

    Parameters
    ----------
    config
        The run's configuration.
    found
        The cases of every site in the configuration's order, see `find_all_cases`.
    reporter
        Receives the number of cases read, in the stage "read", and a warning if the cache cannot be
        written. None reports nothing.

    Raises
    ------
    DataError
        If a case cannot be used; the message names it.
    """
    reporter = reporter or NullReporter()
    cache = None if config.cache is None else VolumeCache(config.cache, reporter.warning)
    total = sum(len(cases.train) + len(cases.validation) for cases in found)
    done = 0
    sites = []
    for site, cases in zip(config.sites, found, strict=True):
        label_map, missing = site.mapping(config.structures), site.missing(config.structures)
        volumes = []
        for case in (*cases.train, *cases.validation):
            volume = load_volume(case, label_map, config.preprocessing, site.name, cache)
            volumes.append(replace(volume, missing=missing))
            done += 1
            reporter.progress(done, total, "read")
        count = len(cases.train)
        train, validation = tuple(volumes[:count]), tuple(volumes[count:])
        sites.append(Site(site.name, train, validation, cases.test, label_map, missing))
    return sites


def load_volume(
    case: CaseFiles,
    label_map: Mapping[int, int],
    preprocessing: Preprocessing,
    site: str,
    cache: VolumeCache | None = None,
) -> Volume:
    """Read and preprocess one case.

    Parameters
    ----------
    case
        Its files.
    label_map
        Value in the label file to the structure's label; 0 stays 0.
    preprocessing
        Grid and intensities of the result; the label is resampled by nearest neighbour.
    site
        Name of the site, for error messages.
    cache
        Stores the result and provides it the next time; None for no cache.

    Raises
    ------
    DataError
        If the case cannot be used; the message names it.
    """

    def make() -> Volume:
        image, label = read_case(case, label_map, site)
        try:
            prepared = prepare(image, preprocessing, read_further(case))
        except DataError as error:
            raise with_case_name(error, case, site) from error
        label_image = sitk.GetImageFromArray(label)
        label_image.CopyInformation(image)
        oriented = sitk.GetArrayFromImage(sitk.DICOMOrient(label_image, preprocessing.orientation))
        on_grid = _resample_nearest(oriented, prepared.oriented, prepared.grid)
        return Volume(case.name, torch.from_numpy(prepared.array), torch.from_numpy(on_grid))

    if cache is None:
        return make()
    return cache.volume(case.name, cache_key(case, label_map, preprocessing), make)


def _resample_nearest(label: NDArray[np.uint8], old: Grid, new: Grid) -> NDArray[np.uint8]:
    """Resample by nearest neighbour between grids with the same axes and the same centre.

    These are the grids that `prepare` uses for the image. A sample half way between two voxels takes
    the one with the higher index, so that the result does not depend on rounding in the file's header.
    """
    picks = []
    for count, size, step, voxel in zip(
        new.shape, old.shape, new.spacing_mm[::-1], old.spacing_mm[::-1], strict=True
    ):
        positions = (np.arange(count) - (count - 1) / 2) * (step / voxel) + (size - 1) / 2
        picks.append(np.floor(positions + 0.5).astype(np.intp).clip(0, size - 1))
    return np.ascontiguousarray(label[np.ix_(*picks)])
