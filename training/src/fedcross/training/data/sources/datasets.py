"""The data sets that a site can name: how their files are found, and their default options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedcross.training.data.sources.layouts import find_msd, find_nnunet
from fedcross.training.data.sources.prostate import (
    Finder,
    find_msd_prostate,
    find_nci_isbi_2013,
    find_promise12,
    find_prostatex,
    with_authors_layout,
)
from fedcross.training.data.splits import Counts


@dataclass(frozen=True)
class Dataset:
    """A data set of a known layout; a site's own options replace its defaults.

    Attributes
    ----------
    find
        Finds the images and labels; receives the root folder and the channels to read.
    channel
        Default index of the volume in its 4D images, from 0; None for 3D images.
    label_map
        Default map from a value in its files to a structure's label; every part of the one organ
        becomes 1. If empty, the values are kept.
    resample_labels
        Whether some of its label maps are on another grid than their image.
    has_channels
        Whether a case may have several channels.
    splits
        Name of a publication to its numbers of cases (train, validation, test).
    """

    find: Finder
    channel: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    resample_labels: bool = False
    has_channels: bool = False
    splits: Mapping[str, Counts] = field(default_factory=dict)


GLAND = {1: 1, 2: 1}  # peripheral and transition zone

DATASETS: dict[str, Dataset] = {
    "msd": Dataset(find_msd, has_channels=True),
    "nnunet": Dataset(find_nnunet, has_channels=True),
    "msd-prostate": Dataset(
        find_msd_prostate,
        channel=0,
        label_map=GLAND,
        has_channels=True,
        splits={"midl2023": (19, 3, 10)},
    ),
    "nci-isbi-2013": Dataset(
        with_authors_layout(find_nci_isbi_2013),
        label_map=GLAND,
        resample_labels=True,
        splits={"midl2023": (48, 8, 24)},
    ),
    "promise12": Dataset(
        with_authors_layout(find_promise12),
        label_map={1: 1},
        splits={"midl2023": (30, 5, 15)},
    ),
    "prostatex": Dataset(
        with_authors_layout(find_prostatex),
        label_map=dict.fromkeys(range(1, 6), 1),  # ProstateZones has up to five zones
        splits={"midl2023": (122, 20, 62)},
    ),
}
