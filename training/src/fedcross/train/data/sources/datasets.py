"""The data sets that a site can be, by name: how each is found, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedcross.train.data.sources.layouts import msd, nnunet
from fedcross.train.data.sources.prostate import (
    Finder,
    either_layout,
    msd_prostate,
    nci_isbi_2013,
    promise12,
    prostatex,
)
from fedcross.train.data.splits import Counts


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes
    ----------
    find
        (root folder, channel) -> images and labels.
    channel
        Which volume of its 4D images is meant when nothing else is said.
    label_map
        Value in its files -> value in the output when nothing else is said: everything that belongs
        to the one organ becomes 1. Empty: values are kept.
    resample_labels
        Whether its labels are known to lie on other grids than the images.
    splits
        Numbers of cases (train, validation, test) by the name of the publication that used them.
    """

    find: Finder
    channel: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    resample_labels: bool = False
    splits: Mapping[str, Counts] = field(default_factory=dict)


GLAND = {1: 1, 2: 1}  # both zones

DATASETS: dict[str, Dataset] = {
    "msd": Dataset(msd),
    "nnunet": Dataset(nnunet),
    "msd-prostate": Dataset(
        msd_prostate,
        channel=0,
        label_map=GLAND,
        splits={"midl2023": (19, 3, 10)},
    ),
    "nci-isbi-2013": Dataset(
        either_layout(nci_isbi_2013),
        label_map=GLAND,
        resample_labels=True,
        splits={"midl2023": (48, 8, 24)},
    ),
    "promise12": Dataset(
        either_layout(promise12),
        label_map={1: 1},
        splits={"midl2023": (30, 5, 15)},
    ),
    "prostatex": Dataset(
        either_layout(prostatex),
        label_map=dict.fromkeys(range(1, 6), 1),  # ProstateZones draws five zones
        splits={"midl2023": (122, 20, 62)},
    ),
}
