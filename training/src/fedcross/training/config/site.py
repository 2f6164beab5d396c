"""The configuration's sections ``[[sites]]``: one per hospital."""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fedcross.training.config.channels import ChannelIndex, Places
from fedcross.training.config.sections import Count, Section
from fedcross.volumes.structure import Structure

if TYPE_CHECKING:
    from fedcross.training.data.sources.datasets import Dataset

SiteName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]


class ExplicitSplit(Section):
    """A split that lists the cases' names: at least one to train; validation and test may be empty."""

    train: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Names of the training cases."
    )
    validation: tuple[str, ...] = Field(default=(), description="Names of the validation cases.")
    test: tuple[str, ...] = Field(default=(), description="Names of the test cases.")


def _kind_of_split(value: Any) -> str:
    return "names" if isinstance(value, Mapping | ExplicitSplit) else "counts"


CountSplit = tuple[Annotated[int, Field(ge=1)], Count, Count]
Split = Annotated[
    Annotated[CountSplit, Tag("counts")] | Annotated[ExplicitSplit, Tag("names")],
    Discriminator(_kind_of_split),
]


def _dataset(name: str) -> "Dataset":
    """The data set with this name in `DATASETS`; raises ValueError if there is none."""
    # Imported here: the module imports SimpleITK, which a machine that only trains may lack.
    from fedcross.training.data.sources.datasets import DATASETS

    if name not in DATASETS:
        close = difflib.get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(DATASETS)}"
        raise ValueError(f"dataset {name!r} is not known; {hint}")
    return DATASETS[name]


class SiteConfig(Section):
    """One hospital: where its cases are, what its label values mean and how the cases are split.

    A site has exactly one source of cases: a data set of a known layout (`dataset` and `root`), two
    folders or glob patterns whose files are paired by name (`images` and `labels`), or a list file
    (`list`). All paths are relative to the configuration's data folder.
    """

    name: SiteName = Field(description="Name of the site.")
    dataset: str | None = Field(
        default=None,
        description="Layout of the folder root: msd (Medical Segmentation Decathlon), nnunet "
        "(nnU-Net raw data), or one of the public prostate sets as they are distributed: "
        "msd-prostate, nci-isbi-2013, promise12, prostatex. Left out if the site has images and "
        "labels, or list.",
    )
    root: str | None = Field(
        default=None,
        description="Folder of the dataset; required together with dataset, otherwise left out.",
    )
    images: Places | None = Field(
        default=None,
        description="Folder of the images, or a glob pattern; with several channels a list with one for "
        "each. In a folder the file name without extension is the case's name; with a pattern it is the "
        "text that the wildcards match.",
    )
    labels: str | None = Field(
        default=None,
        description="Folder of the label maps, or a glob pattern; the cases are named as in images.",
    )
    list: str | None = Field(
        default=None,
        description="CSV or JSON file with one entry per case: image and label, and optionally name, "
        "patient and split (train, validation or test). A further channel has the column image:NAME. "
        "Paths are relative to the file.",
    )
    channel: ChannelIndex | None = Field(
        default=None,
        description="Index from 0 of the channel to read from images with several channels, or a list "
        "with the index of each channel of the configuration. It is left out for images with one "
        "channel; msd-prostate has the default 0 (T2). msd and nnunet find the channels of "
        "preprocessing.channels by themselves, by name or if their number is the same.",
    )
    cases: tuple[str, ...] = Field(
        default=(),
        description="Names of the cases to use; the wildcards * and ? are allowed. When empty, all "
        "cases are used.",
    )
    exclude: tuple[str, ...] = Field(
        default=(),
        description="Names of cases not to use; the wildcards * and ? are allowed. It takes "
        "precedence over cases. When empty, no case is excluded.",
    )
    patient: str | None = Field(
        default=None,
        description="Regular expression that finds the patient in a case's name: its first group, or "
        "the whole match if it has no group. All scans of a patient go to the same part of the "
        "split. When left out, every case is a patient of its own.",
    )
    split: Split | None = Field(
        default=None,
        description="Numbers of cases [train, validation, test], drawn with the configuration's "
        "seed; or the names of the cases of each part; or the name of a publication whose split of "
        "the dataset is used (midl2023). It may be left out only if list has a split column.",
    )
    label_map: dict[int, Annotated[int, Field(ge=0, le=255)]] = Field(
        default_factory=dict,
        description="Maps each value in this site's label maps to a structure's label, or to 0 "
        "(background); 0 always stays 0. When left out, the dataset's own map is used, or the "
        "values are kept if it has none.",
    )
    labels_missing: tuple[str, ...] = Field(
        default=(),
        description="Names of structures that were not drawn at this site. Its background may contain "
        "them, so they are neither trained nor evaluated here. When empty, all structures are drawn.",
    )
    resample_labels: bool | None = Field(
        default=None,
        description="Whether a label map on another grid than its image is resampled onto the image's "
        "grid by nearest neighbour. When left out, it is true for a dataset known to need it and "
        "false otherwise.",
    )

    @model_validator(mode="before")
    @classmethod
    def _dataset_fills_in(cls, values: Any) -> Any:
        """Write the data set's defaults into the section, so that a run records them."""
        if not isinstance(values, Mapping):
            return values
        split, name = values.get("split"), values.get("dataset")
        known = _dataset(name) if isinstance(name, str) else None
        if isinstance(split, str):
            offered = {} if known is None else known.splits
            if split not in offered:
                whose = "without a dataset" if known is None else "for this dataset"
                raise ValueError(
                    f"split = {split!r} is not known {whose}; known are "
                    f"{', '.join(offered) or 'none'}, or give numbers [train, validation, test]"
                )
            values = {**values, "split": offered[split]}
        if known is None:
            return values
        return {
            "channel": known.channel,
            "label_map": dict(known.label_map),
            "resample_labels": known.resample_labels,
            **values,
        }

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        halves = ((self.images, self.labels), (self.dataset, self.root))
        complete = [all(half) for half in halves] + [self.list is not None]
        if sum(complete) != 1 or any(any(half) and not all(half) for half in halves):
            raise ValueError("a site needs either dataset and root, or images and labels, or list")
        if self.split is None and self.list is None:
            raise ValueError("a site without list needs split = [train, validation, test]")
        try:
            re.compile(self.patient or "")
        except re.error as error:
            raise ValueError(f"patient is not a valid regular expression: {error}") from error
        return self

    @property
    def channels(self) -> tuple[int, ...] | None:
        """`channel` as a tuple; None if it is left out."""
        return (self.channel,) if isinstance(self.channel, int) else self.channel

    @property
    def may_have_channels(self) -> bool:
        """Whether a case may have several channels; some data sets have one."""
        return self.dataset is None or _dataset(self.dataset).has_channels

    @property
    def image_places(self) -> tuple[str, ...]:
        """`images` as a tuple; empty if it is left out."""
        return (self.images,) if isinstance(self.images, str) else self.images or ()

    def check_labels(self, structures: Sequence[Structure]) -> None:
        """Check that every structure is either drawn at this site or listed in `labels_missing`.

        Parameters
        ----------
        structures
            All structures of the configuration.

        Raises
        ------
        ValueError
            If `labels_missing` names an unknown structure or all of them, or a non-empty `label_map`
            does not map to exactly the drawn structures.
        """
        label_of = {structure.name: structure.label for structure in structures}
        unknown = [name for name in self.labels_missing if name not in label_of]
        if unknown:
            raise ValueError(
                f"labels_missing of site {self.name} names {unknown[0]!r}; "
                f"the structures are {', '.join(label_of)}"
            )
        missing = {label_of[name] for name in self.labels_missing}
        if len(missing) == len(label_of):
            raise ValueError(
                f"labels_missing of site {self.name} names every structure; at least one must be drawn"
            )
        values = set(self.label_map.values())
        if values - {0, *label_of.values()} or self.label_map.get(0, 0) != 0:
            raise ValueError(
                f"label_map of site {self.name} must map to 0 or the structures' labels "
                f"{[*label_of.values()]} and keep 0 at 0, got {self.label_map}"
            )
        for name, label in label_of.items():
            if label in missing and label in values:
                raise ValueError(
                    f"labels_missing of site {self.name} names {name}, but its label_map maps to it"
                )
            if self.label_map and label not in missing | values:
                raise ValueError(
                    f"label_map of site {self.name} has no value for {name} ({label}), which would be "
                    "trained as background; add it, or name it in labels_missing"
                )

    def missing(self, structures: Sequence[Structure]) -> tuple[int, ...]:
        """Labels of the structures that were not drawn at this site, in the order of `structures`."""
        return tuple(s.label for s in structures if s.name in self.labels_missing)

    def mapping(self, structures: Sequence[Structure]) -> dict[int, int]:
        """Value in the files to the structure's label; `label_map`, or the drawn labels unchanged."""
        missing = self.missing(structures)
        return self.label_map or {s.label: s.label for s in structures if s.label not in missing}
