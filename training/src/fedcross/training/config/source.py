"""A configuration as a file, as a mapping, or read already."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.file import read_values, resolve_paths

PathLike = str | os.PathLike[str]
ConfigSource = PathLike | Mapping[str, Any] | TrainingConfig


def read_source(config: ConfigSource) -> tuple[Mapping[str, Any], str, Path]:
    """Return sections and keys, the name for errors, and the folder to which the paths are relative.

    Parameters
    ----------
    config
        See `fedcross.load_config`. The values of a configuration are complete.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not valid TOML.
    """
    if isinstance(config, TrainingConfig):
        return complete_values(config), "The configuration", Path()
    if isinstance(config, Mapping):
        return config, "The configuration", Path()
    path = Path(config)
    return read_values(path), path.name, path.parent


def complete_values(config: TrainingConfig) -> dict[str, Any]:
    """Return all options of a configuration with defaults and paths; `parse_config` reads them."""
    values = config.model_dump(mode="json")
    values |= {"data_root": str(config.data_root), "plugins": list(config.plugins)}
    if config.engine.min_sites is None and "engine" in values:  # a record has a number in its place
        values["engine"] = {k: v for k, v in values["engine"].items() if k != "min_sites"}
    if config.cache is not None:
        values["cache"] = str(config.cache)
    if config.start.bundle is not None:
        values["start"] = {**values.get("start", {}), "bundle": str(config.start.bundle)}
    return values


def load_source(
    config: ConfigSource,
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    start: PathLike | None = None,
) -> TrainingConfig:
    """Read and check a configuration; its paths become absolute.

    Parameters
    ----------
    config, data_root, cache, start
        See `fedcross.load_config`.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or a value is wrong.
    """
    paths = optional_path(data_root), optional_path(cache), optional_path(start)
    if isinstance(config, TrainingConfig):
        return resolve_paths(config, Path(), *paths)
    values, source, folder = read_source(config)
    return resolve_paths(parse_config(values, source=source), folder, *paths)


def optional_path(path: PathLike | None) -> Path | None:
    """Return a path that may be text; None stays None."""
    return None if path is None else Path(path)
