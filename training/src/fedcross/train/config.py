"""The training configuration: one TOML file, read strictly.

Unknown keys are refused, every default is documented by its field's description. Triples are
(x, y, z). `Structure` and `Preprocessing` are those of the bundle: what is trained is what is told.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from fedcross.errors import ConfigError
from fedcross.method.schedule import ScheduleKind
from fedcross.model.architecture import Architecture, UNetArchitecture
from fedcross.model.manifest import Preprocessing, Structure
from fedcross.train.config_errors import explain

Count = Annotated[int, Field(ge=0)]
SiteName = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MethodConfig(_Section):
    """Who trains where, how often and how long."""

    kind: Literal["fedcross", "fedcross-ens"] = Field(
        default="fedcross-ens",
        description="fedcross: one member walks the sites; fedcross-ens: several at once, and the "
        "prediction is the mean of their probabilities.",
    )
    members: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="Members of the ensemble; when left out as many as sites, one for fedcross.",
    )
    rounds: Annotated[int, Field(ge=1)] = Field(
        default=50, description="Communication rounds; 50 in the paper."
    )
    local_epochs: Count = Field(
        default=32, description="Epochs that a member trains at a site per round; 32 in the paper."
    )
    schedule: ScheduleKind = Field(
        default="latin",
        description="latin: in every block of as many rounds as sites each member meets each site "
        "once; rotation: round-robin; random: drawn anew every round (the authors' code).",
    )

    @model_validator(mode="after")
    def _one_member_walks_alone(self) -> Self:
        if self.kind == "fedcross" and self.members not in (None, 1):
            raise ValueError(
                f"fedcross has one member, got members = {self.members}; "
                "an ensemble is kind = 'fedcross-ens'"
            )
        return self


class ExplicitSplit(_Section):
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
# Parts of an error's location that nobody wrote.
INNER_NAMES = frozenset({"counts", "names", "unet", "segresnet", "dynunet", "[key]"})


class SiteConfig(_Section):
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


class OptimisationConfig(_Section):
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
        description="Of the arithmetic inside the network; auto is bf16 on a GPU that has it, fp32 "
        "elsewhere. Weights, loss and optimiser state are always fp32.",
    )


class EngineConfig(_Section):
    """Where the federation runs."""

    kind: Literal["local"] = Field(default="local", description="All sites in one process.")


class TrainingConfig(_Section):
    """Everything that decides a training run."""

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]
    description: Annotated[str, Field(max_length=4000)] = Field(
        default="", description="Told in the bundle's model card."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        default=0, description="Seeds splits, schedule, weights and patches, each by itself."
    )
    data_root: Path = Field(
        default=Path(),
        exclude=True,
        description="Folder that the sites' paths are relative to; itself relative to the "
        "configuration file, whose folder it is by default. Not part of the run's identity.",
    )
    method: MethodConfig = MethodConfig()
    network: Architecture = UNetArchitecture()
    preprocessing: Preprocessing
    structures: Annotated[tuple[Structure, ...], Field(min_length=1, max_length=255)]
    sites: Annotated[tuple[SiteConfig, ...], Field(min_length=1, max_length=1024)]
    training: OptimisationConfig = OptimisationConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="before")
    @classmethod
    def _classes_follow_structures(cls, values: Any) -> Any:
        """Nobody should have to count the network's classes by hand."""
        if not isinstance(values, Mapping):
            return values
        network, structures = values.get("network", {"name": "unet"}), values.get("structures")
        if isinstance(network, Mapping) and isinstance(structures, list | tuple):
            network = {"name": "unet", "classes": len(structures) + 1, **network}
        return {**values, "network": network}

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        labels = [structure.label for structure in self.structures]
        if labels != list(range(1, len(labels) + 1)):
            raise ValueError(f"structures must have labels 1, 2, 3 ... in order, got {labels}")
        if len({structure.slug for structure in self.structures}) != len(labels):
            raise ValueError("two structures have the same name")
        names = [site.name for site in self.sites]
        if len(set(names)) != len(names):
            raise ValueError(f"two sites have the same name, got {', '.join(names)}")
        if self.network.classes != len(labels) + 1:
            raise ValueError(
                f"network.classes must be {len(labels) + 1} (background and {len(labels)} "
                f"structures), got {self.network.classes}"
            )
        if any(side % self.network.divisor for side in self.preprocessing.patch_size):
            raise ValueError(
                f"preprocessing.patch_size must be multiples of {self.network.divisor} for the "
                f"network {self.network.name}, got {list(self.preprocessing.patch_size)}"
            )
        if all(side == self.network.divisor for side in self.preprocessing.patch_size):
            raise ValueError(
                f"preprocessing.patch_size must be larger than {self.network.divisor} along an "
                "axis, or nothing is left to normalise at the network's lowest level"
            )
        for site in self.sites:
            wrong = sorted(set(site.label_map.values()) - {0, *labels})
            if wrong or site.label_map.get(0, 0) != 0:
                raise ValueError(
                    f"label_map of site {site.name} must lead to 0 or the structures' labels "
                    f"{labels} and leave 0 at 0, got {site.label_map}"
                )
        if self.members > len(names):
            raise ValueError(
                f"method.members must be at most the number of sites, {len(names)}, "
                f"got {self.members}"
            )
        return self

    @property
    def members(self) -> int:
        """How many members train."""
        if self.method.members is not None:
            return self.method.members
        return 1 if self.method.kind == "fedcross" else len(self.sites)

    @property
    def total_epochs(self) -> int:
        """Local epochs that one member trains in the whole run."""
        return self.method.rounds * self.method.local_epochs


def load_config(path: Path, data_root: Path | None = None) -> TrainingConfig:
    """Read a configuration file.

    Parameters
    ----------
    path
        TOML.
    data_root
        Folder that the sites' paths are relative to; when None, what the file says, which by
        default is the file's own folder.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value in it is wrong; the message names the key,
        the value and what is allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error.strerror or error}."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {path} is not valid TOML: {error}.") from error
    config = parse_config(values, source=path.name)
    root = path.parent / config.data_root if data_root is None else data_root
    return config.model_copy(update={"data_root": root.absolute()})


def parse_config(values: Mapping[str, Any], *, source: str) -> TrainingConfig:
    """Check a configuration that is already a mapping; `source` names it in errors.

    Raises
    ------
    ConfigError
        As `load_config`.
    """
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {explain(error, TrainingConfig, INNER_NAMES)}") from error


def config_values(config: TrainingConfig) -> dict[str, Any]:
    """Everything that decides the run, defaults filled in, as JSON can hold it (no paths)."""
    return config.model_dump(mode="json")


def config_sha256(config: TrainingConfig) -> str:
    """Identity of a configuration: SHA-256 over its canonical JSON, where data lie left out."""
    canonical = json.dumps(config_values(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
