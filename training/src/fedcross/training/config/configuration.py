"""The training configuration, a TOML file.

Unknown keys are refused. The description of each field explains its default. Triples are (x, y, z).
`Structure` and `Preprocessing` are also those of the bundle.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator

from fedcross.contract.request import MAX_CHANNELS
from fedcross.errors import ConfigError
from fedcross.model.architecture import Architecture, UNetArchitecture
from fedcross.model.plugin import PackageName
from fedcross.strategies.methods.fedcross_ens import FedCrossEns
from fedcross.strategies.registry import METHODS, AnyMethod
from fedcross.training.config.augmentation import AugmentationConfig
from fedcross.training.config.channels import check_channels
from fedcross.training.config.engine import EngineConfig
from fedcross.training.config.errors import explain
from fedcross.training.config.fit import check_names, check_options, check_patch
from fedcross.training.config.loss import LossConfig
from fedcross.training.config.record import complete_record, leave_out_earlier
from fedcross.training.config.sections import OptimisationConfig, Section
from fedcross.training.config.site import SiteConfig
from fedcross.training.config.start import StartConfig
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.structure import Structure

# Parts of an error's location that are not in the file: tags of unions, and pydantic's word for a key.
INNER_NAMES = frozenset(
    {
        "counts",
        "names",
        "one",
        "several",
        "unet",
        "segresnet",
        "dynunet",
        "custom",
        "[key]",
        *METHODS,
    }
)

STRONG_RECIPE = {"foreground_fraction": 0.5, "max_gradient_norm": 12.0}
"""Values of ``[training]`` that go with the augmentation preset ``strong``, if they are left out."""


class TrainingConfig(Section):
    """The configuration of a training run."""

    added_later: ClassVar[tuple[str, ...]] = ("loss", "start")

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")] = (
        Field(description="Name of the bundle.")
    )
    description: Annotated[str, Field(max_length=4000)] = Field(
        default="", description="Text for the model card of the bundle; empty by default."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        default=0,
        description="Seed of the splits, the schedule, the initial weights and the patches.",
    )
    data_root: Path = Field(
        default=Path(),
        exclude=True,
        description="Folder that the sites' paths are relative to. A relative path starts at the "
        "folder of the configuration file, which is also the default; ~ at the beginning is the home "
        "folder. It is not part of the run's identity.",
    )
    cache: Path | None = Field(
        default=None,
        exclude=True,
        description="Folder of the preprocessed cases, relative to the configuration file; ~ at the "
        "beginning is the home folder. Later runs "
        "use them again, and a run maps them from disk. When left out, every run preprocesses its "
        "cases and holds them in memory. It is not part of the run's identity.",
    )
    plugins: tuple[PackageName, ...] = Field(
        default=(),
        exclude=True,
        description="Installed packages whose code this training may run: those of a custom network, "
        "loss, augmentation or optimiser. It holds on this machine only and is not recorded; a hospital "
        "of a federation allows packages in its own settings. None by default.",
    )
    method: AnyMethod = FedCrossEns()
    network: Architecture = UNetArchitecture()
    preprocessing: Preprocessing
    structures: Annotated[tuple[Structure, ...], Field(min_length=1, max_length=255)]
    sites: Annotated[tuple[SiteConfig, ...], Field(min_length=1, max_length=1024)]
    training: OptimisationConfig = OptimisationConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    start: StartConfig = StartConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="before")
    @classmethod
    def _network_follows_data(cls, values: Any) -> Any:
        """Set the network's classes from the structures, and its input channels from the channels."""
        if not isinstance(values, Mapping):
            return values
        network, structures = values.get("network", {"name": "unet"}), values.get("structures")
        if isinstance(network, Mapping) and isinstance(structures, list | tuple):
            network = {"name": "unet", "classes": len(structures) + 1, **network}
        preprocessing = values.get("preprocessing")
        channels = preprocessing.get("channels") if isinstance(preprocessing, Mapping) else None
        count = len(channels) if isinstance(channels, list | tuple) else 0
        if isinstance(network, Mapping) and 0 < count <= MAX_CHANNELS:
            network = {"in_channels": count, **network}
        return {**values, "network": network}

    @model_validator(mode="before")
    @classmethod
    def _recipe_follows_preset(cls, values: Any) -> Any:
        """Complete the section ``[training]`` for the augmentation preset ``strong``."""
        if not isinstance(values, Mapping):
            return values
        augmentation, training = values.get("augmentation", {}), values.get("training", {})
        preset = isinstance(augmentation, Mapping) and augmentation.get("preset", "strong")
        if preset == "strong" and isinstance(training, Mapping):
            return {**values, "training": {**STRONG_RECIPE, **training}}
        return values

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        check_names(self)
        check_patch(self)
        check_options(self)
        for site in self.sites:
            site.check_labels(self.structures)
            check_channels(site, self.preprocessing.channel_names)
        return self

    @property
    def members(self) -> int:
        """Number of models that the method trains."""
        return self.method.member_count(len(self.sites))

    def count_needed_sites(self, wanted: int | None = None) -> int:
        """Number of sites that must be able to train before a job of a federated run begins.

        Parameters
        ----------
        wanted
            A number in place of ``engine.min_sites``; None for that. At most all sites are needed.
        """
        return min(wanted or self.engine.min_sites or len(self.sites), len(self.sites))

    @property
    def total_epochs(self) -> int:
        """Number of local epochs of one member in the whole run, if no visit fails."""
        return self.method.rounds * self.method.local_epochs


def parse_config(
    values: Mapping[str, Any], *, source: str, is_record: bool = False
) -> TrainingConfig:
    """Return the configuration in a mapping.

    Parameters
    ----------
    values
        Sections and keys, as in a configuration file.
    source
        Name of the mapping in errors.
    is_record
        Whether the mapping is from `config_values`, perhaps of an earlier version.

    Raises
    ------
    ConfigError
        If a key or value is wrong; the message names the key, the value and what is allowed.
    """
    try:
        return TrainingConfig.model_validate(complete_record(values) if is_record else values)
    except ValidationError as error:
        missing = any(
            each["type"] == "missing" and each["loc"][0] == "preprocessing"
            for each in error.errors()
        )
        raise ConfigError(
            f"{source}: {explain(error, TrainingConfig, INNER_NAMES, values)}",
            "fedcross plan proposes what is missing." if missing else "",
        ) from error


def config_values(config: TrainingConfig) -> dict[str, Any]:
    """Return the record of a configuration: all options that decide the run, as values for JSON.

    Paths are left out, and so are options with the values of `EARLIER_VALUES`, see `record`.
    """
    return leave_out_earlier(config.model_dump(mode="json"))


def config_sha256(config: TrainingConfig) -> str:
    """Return the identity of a configuration: SHA-256 of its canonical JSON, without data paths."""
    canonical = json.dumps(config_values(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()
