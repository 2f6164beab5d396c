"""A configuration that may lack the sections that a plan completes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.file import resolve_paths
from fedcross.training.config.source import (
    ConfigSource,
    PathLike,
    load_source,
    optional_path,
    read_source,
)
from fedcross.training.planning.propose import SECTIONS

GRID = ("spacing_mm", "patch_size")
KEPT = (
    "data_root",
    "cache",
    "start",
    "plugins",
)  # what a plan does not decide: paths, allowed packages
_STAND_IN = {"spacing_mm": (1.0, 1.0, 1.0), "patch_size": (128, 128, 128)}
"""Valid with every network, so that everything else in a draft can be checked."""

_CT_STAND_IN = {"window": (0.0, 1.0), "mean": 0.0, "std": 1.0}


@dataclass(frozen=True)
class Draft:
    """A configuration as it was written, and checked.

    Attributes
    ----------
    values
        Sections and keys, as in the file.
    config
        The same with absolute paths, and with stand-ins for the voxel spacing and the patch if they are
        missing. Only what it says of data and structures counts.
    """

    values: Mapping[str, Any]
    config: TrainingConfig

    @property
    def given(self) -> dict[str, dict[str, Any]]:
        """The sections that a plan completes, as far as they are written."""
        return {name: dict(self.values.get(name, {})) for name in SECTIONS}

    def with_paths(self, config: TrainingConfig) -> TrainingConfig:
        """Return a configuration with the paths and the allowed packages of the draft."""
        return config.model_copy(update={name: getattr(self.config, name) for name in KEPT})


def lacks_grid(config: ConfigSource) -> bool:
    """Whether a configuration has neither a voxel spacing nor a patch size: it trains with a plan.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not valid TOML.
    """
    if isinstance(config, TrainingConfig):
        return False
    values, _, _ = read_source(config)
    section = values.get("preprocessing", {})
    return isinstance(section, Mapping) and not any(key in section for key in GRID)


def read_draft(
    config: ConfigSource,
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    start: PathLike | None = None,
) -> Draft:
    """Read and check a configuration that may lack spacing, patch size and the parameters of ``ct``.

    Parameters
    ----------
    config, data_root, cache, start
        See `fedcross.load_config`.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value is wrong.
    """
    values, source, folder = read_source(config)
    section = values.get("preprocessing", {})
    complete = dict(values)
    if isinstance(section, Mapping):
        ct = _CT_STAND_IN if section.get("intensity") == "ct" else {}
        complete["preprocessing"] = {**_STAND_IN, **ct, **section}
    parsed = parse_config(complete, source=source)
    paths = (optional_path(path) for path in (data_root, cache, start))
    return Draft(values, resolve_paths(parsed, folder, *paths))


def load_or_draft(config: ConfigSource, data_root: PathLike | None = None) -> TrainingConfig:
    """Return a configuration whose data are to be checked: complete, or a draft with stand-ins.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value is wrong.
    """
    if lacks_grid(config):
        return read_draft(config, data_root).config
    return load_source(config, data_root)
