"""Read a configuration file, and make its paths absolute."""

from pathlib import Path
from typing import Any

from fedcross.contract.parse import parse_toml
from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError
from fedcross.runtime.files.whole_file import read_file
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.start import identify_start


def load_config(
    path: Path,
    data_root: Path | None = None,
    cache: Path | None = None,
    start: Path | None = None,
) -> TrainingConfig:
    """Read a configuration file.

    Parameters
    ----------
    path
        TOML file.
    data_root, cache, start
        See `fedcross.load_config`.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a key or value in it is wrong; the message names the key,
        the value and what is allowed.
    BundleError
        If there is something else than a bundle at the path of ``start.bundle``.
    """
    config = parse_config(read_values(path), source=path.name)
    return resolve_paths(config, path.parent, data_root, cache, start)


def read_values(path: Path) -> dict[str, Any]:
    """Read the sections and keys of a configuration file, without checking them.

    Raises
    ------
    ConfigError
        If the file cannot be read or is not valid TOML.
    """
    try:
        return parse_toml(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"The configuration {path} cannot be read: {error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"The configuration {path} is not UTF-8: byte {error.start + 1} is "
            f"0x{error.object[error.start]:02x}.",
            "Save it in UTF-8.",
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"The configuration {path} is not valid TOML: {plain_text(str(error), 200)}."
        ) from error


def resolve_paths(
    config: TrainingConfig,
    folder: Path,
    data_root: Path | None = None,
    cache: Path | None = None,
    start: Path | None = None,
) -> TrainingConfig:
    """Return the configuration with absolute paths, and with the SHA-256 of its first bundle.

    Parameters
    ----------
    folder
        Folder that the paths in `config` are relative to.
    data_root, cache, start
        See `fedcross.load_config`; relative to the current folder.
    """
    root = folder / _with_home(config.data_root) if data_root is None else data_root
    if cache is None and config.cache is not None:
        cache = folder / _with_home(config.cache)
    section = config.start
    if start is not None:
        section = section.model_copy(update={"bundle": start.absolute()})
    return config.model_copy(
        update={
            "data_root": root.absolute(),
            "cache": cache and cache.absolute(),
            "start": identify_start(section, folder),
        }
    )


def _with_home(path: Path) -> Path:
    """Return a path with the home folder in place of ``~``; the path itself if there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path
