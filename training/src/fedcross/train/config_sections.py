"""The sections of the training configuration; see `config` for the whole.

Every default is documented by its field's description; the defaults are those of the FedCross authors.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

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


class SiteConfig(Section):
    """One hospital: where its cases lie and how they are split.

    Paths are relative to the configuration's data folder. Cases come either from a pair of folders
    (or glob patterns), paired by name, or from a list file.
    """

    name: SiteName
    images: str | None = Field(
        default=None,
        description="Folder of images, or a glob pattern; what its wildcards match names the case.",
    )
    labels: str | None = Field(default=None, description="The same for the label maps.")
    cases: tuple[str, ...] = Field(
        default=(),
        description="Names (wildcards allowed) of the cases to use; when left out, all of them.",
    )
    list: str | None = Field(
        default=None,
        description="CSV file with the columns image, label and, if wanted, split (train, "
        "validation or test); paths in it are relative to the file.",
    )
    split: Split | None = Field(
        default=None,
        description="Numbers of cases [train, validation, test], drawn by the configuration's "
        "seed, or the cases' names; may be left out when the list file has a split column.",
    )
    label_map: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0, le=255)]] = Field(
        default_factory=dict,
        description="Value in this site's label maps = value in the output; when left out, values "
        "are kept. 0 stays background.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pair = (self.images is not None, self.labels is not None)
        if pair not in ((True, True), (False, False)) or pair[0] == (self.list is not None):
            raise ValueError("a site needs either images and labels, or list")
        if self.split is None and self.list is None:
            raise ValueError("a site without list needs split = [train, validation, test]")
        return self


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
    validate_every: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Validate after every so many rounds, and after the last one."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Of the arithmetic inside the network; bf16 is for GPUs only, auto is bf16 on a "
        "GPU that has it and fp32 elsewhere. Weights, loss and optimiser state are always fp32.",
    )


class EngineConfig(Section):
    """Where the federation runs."""

    kind: Literal["local"] = Field(default="local", description="All sites in one process.")
