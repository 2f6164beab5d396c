"""The sections of the training configuration; see `config` for the whole.

Every default is documented by its field's description; the defaults are those of the FedCross authors.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from fedcross.volumes.structure import Structure

if TYPE_CHECKING:
    from fedcross.train.data.sources.datasets import Dataset

Count = Annotated[int, Field(ge=0)]
SiteName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]


class Section(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ExplicitSplit(Section):
    """A split by the cases' names."""

    train: Annotated[tuple[str, ...], Field(min_length=1)]
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


def _kind_of_split(value: Any) -> str:
    return "names" if isinstance(value, Mapping | ExplicitSplit) else "counts"


CountSplit = tuple[Annotated[int, Field(ge=1)], Count, Count]
Split = Annotated[
    Annotated[CountSplit, Tag("counts")] | Annotated[ExplicitSplit, Tag("names")],
    Discriminator(_kind_of_split),
]


def _dataset(name: str) -> "Dataset":
    """What is known about a data set; ValueError if it is none."""
    # Here, because it brings SimpleITK, which a machine that only trains may lack.
    from fedcross.train.data.sources.datasets import DATASETS

    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(DATASETS)}"
        raise ValueError(f"dataset {name!r} is not known; {hint}")
    return DATASETS[name]


class SiteConfig(Section):
    """One hospital: where its cases lie, what its labels mean and how the cases are split.

    Paths are relative to the configuration's data folder. Cases come from a known data set below a
    root folder, from a pair of folders (or glob patterns), paired by name, or from a list file.
    """

    name: SiteName
    dataset: str | None = Field(
        default=None,
        description="Layout of the folder root: msd, nnunet, or one of the public prostate sets "
        "msd-prostate, nci-isbi-2013, promise12, prostatex as they are distributed.",
    )
    root: str | None = Field(default=None, description="Folder of the dataset.")
    images: str | None = Field(
        default=None,
        description="Folder of images, or a glob pattern; what its wildcards match names the case.",
    )
    labels: str | None = Field(default=None, description="The same for the label maps.")
    list: str | None = Field(
        default=None,
        description="CSV or JSON file with image, label and, if wanted, name, patient and split "
        "(train, validation or test) of every case; paths in it are relative to the file.",
    )
    channel: Count | None = Field(
        default=None, description="Which channel of images that have several, from 0."
    )
    cases: tuple[str, ...] = Field(
        default=(),
        description="Names (wildcards allowed) of the cases to use; when left out, all of them.",
    )
    exclude: tuple[str, ...] = Field(
        default=(), description="Names (wildcards allowed) of cases not to use."
    )
    patient: str | None = Field(
        default=None,
        description="Regular expression that finds the patient in a case's name (its first group, "
        "if it has one); scans of a patient are never split. Left out, each case is a patient.",
    )
    split: Split | None = Field(
        default=None,
        description="Numbers of cases [train, validation, test], drawn by the configuration's "
        "seed; the cases' names; or the name of a publication that used the dataset (midl2023). "
        "May be left out when the list file has a split column.",
    )
    label_map: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0, le=255)]] = Field(
        default_factory=dict,
        description="Value in this site's label maps = value in the output; when left out, the "
        "dataset's, or else values are kept. 0 stays background.",
    )
    labels_missing: tuple[str, ...] = Field(
        default=(),
        description="Structures that nobody drew at this site: its background may be one of them, "
        "so it neither teaches nor judges them.",
    )
    resample_labels: bool | None = Field(
        default=None,
        description="Bring labels that lie on another grid than their image onto it by nearest "
        "neighbour; when left out, only where the dataset is known to need it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _dataset_fills_in(cls, values: Any) -> Any:
        """What is known about the data set stands in the configuration, for the record."""
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
            raise ValueError(f"patient is no regular expression: {error}") from error
        return self

    def check_labels(self, structures: Sequence[Structure]) -> None:
        """Raise ValueError unless every structure is either drawn here or said to be missing."""
        label_of = {structure.name: structure.label for structure in structures}
        unknown = [name for name in self.labels_missing if name not in label_of]
        if unknown:
            raise ValueError(
                f"labels_missing of site {self.name} names {unknown[0]!r}; "
                f"the structures are {', '.join(label_of)}"
            )
        missing = {label_of[name] for name in self.labels_missing}
        if len(missing) == len(label_of):
            raise ValueError(f"labels_missing of site {self.name} leaves nothing to learn")
        values = set(self.label_map.values())
        if values - {0, *label_of.values()} or self.label_map.get(0, 0) != 0:
            raise ValueError(
                f"label_map of site {self.name} must lead to 0 or the structures' labels "
                f"{[*label_of.values()]} and leave 0 at 0, got {self.label_map}"
            )
        for name, label in label_of.items():
            if label in missing and label in values:
                raise ValueError(
                    f"site {self.name} says that {name} is missing, but its label_map leads there"
                )
            if self.label_map and label not in missing | values:
                raise ValueError(
                    f"label_map of site {self.name} never leads to {name} ({label}), so that it "
                    "would be taught as background; add it, or name it in labels_missing"
                )

    def missing(self, structures: Sequence[Structure]) -> tuple[int, ...]:
        """Labels of the structures that nobody drew here."""
        return tuple(s.label for s in structures if s.name in self.labels_missing)

    def mapping(self, structures: Sequence[Structure]) -> dict[int, int]:
        """Value in the files -> value in the output."""
        missing = self.missing(structures)
        return self.label_map or {s.label: s.label for s in structures if s.label not in missing}


class OptimisationConfig(Section):
    """How one visit trains; the defaults are the authors'."""

    batch_size: Annotated[int, Field(ge=1)] = Field(default=16, description="Patches per step.")
    patches_per_case: Annotated[int, Field(ge=1)] = Field(
        default=4, description="Patches of every training case per epoch."
    )
    optimizer: Literal["sgd", "adamw"] = Field(
        default="sgd", description="sgd has Nesterov momentum; its state travels with the member."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=0.01,
        description="Base rate; decays as (1 - epoch / all epochs of the run) ** 0.9.",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.99, description="Of sgd; 0 is plain gradient descent."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.0, description="None by default.")
    rotation_rad: Annotated[float, Field(ge=0, le=3.2)] = Field(
        default=0.1, description="Largest rotation about each of x, y and z, in radians."
    )
    foreground_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Share of the patches that are placed around a labelled voxel; the others, and "
        "by default all, lie anywhere in the volume with equal probability.",
    )
    intensity: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Largest random change of a patch's contrast (as a share) and brightness (in "
        "standard deviations of the volume); the authors have none.",
    )
    noise: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Standard deviation of Gaussian noise that is added to patches, in standard "
        "deviations of the volume; the authors add none.",
    )
    validate_every: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Validate after every so many rounds, and after the last one."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of the arithmetic inside the network; bf16 is for GPUs only, auto is bf16 on a "
        "GPU that has it and fp32 elsewhere. Weights, loss and optimiser state are always fp32.",
    )
    compile: bool = Field(
        default=False,
        description="Let torch.compile fuse the network's steps; every visit then begins with a "
        "minute or so of compiling, which long visits on a GPU earn back.",
    )
