"""Options of several commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fedcross.contract.plain_text import plain_text
from fedcross.contract.request import HELP
from fedcross.errors import ConfigError
from fedcross.runtime.plugins import VARIABLE, allow_plugins


def _allow(packages: list[str] | None) -> list[str] | None:
    allow_plugins(*packages or ())
    return packages


AllowPlugin = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-plugin",
        metavar="PACKAGE",
        callback=_allow,
        help="Installed package whose code may be used, for a network of its own; may be given several "
        f"times. The environment variable {VARIABLE} allows packages, too.",
    ),
]
"""The option allows the packages when it is read; a command has nothing else to do with it."""


def split_names(text: str) -> list[str]:
    """Return the names in a text with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def split_numbers(option: str, text: str) -> list[int]:
    """Return the whole numbers in the text of an option, with commas between.

    Raises
    ------
    ConfigError
        If a part is no whole number of at most nine digits.
    """
    parts = split_names(text)
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 9):
            raise ConfigError(
                f"{option} must be whole numbers with commas between, got {plain_text(part, 80)!r}.",
                f"For example {option} 0,2.",
            )
    return [int(part) for part in parts]


@contextmanager
def tell_what_is_kept(what: str) -> Iterator[None]:
    """Print after an interruption inside what is kept, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"{what} are kept. The same command goes on.", err=True)
        raise


Device = Annotated[str, typer.Option(help=HELP["device"])]
Precision = Annotated[str, typer.Option(help=HELP["precision"])]
Backend = Annotated[str, typer.Option(help=HELP["backend"])]
CasesAtOnce = Annotated[
    int,
    typer.Option(
        "--workers", min=1, help="Cases at the same time; more than the memory allows are refused."
    ),
]
BundleCopy = Annotated[
    Path, typer.Option(help="Bundle to write: a folder, or a .zip. BUNDLE is not changed.")
]
PartNames = Annotated[
    str, typer.Option(help="Cases to use, separated by commas: train, validation, test.")
]
SiteNames = Annotated[
    str | None, typer.Option(help="Sites to use, separated by commas; by default all.")
]
SitesRoot = Annotated[
    Path | None,
    typer.Option(
        help="Folder that the sites' paths are relative to; by default that of the configuration."
    ),
]
"""For a command whose ``--data`` is the configuration; the others have `DataRoot`."""
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder that the sites' paths are relative to; by default that of the configuration.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        readable=False,  # a cache that cannot be used is a warning
        help="Folder that stores preprocessed cases for later runs; by default that of the "
        "configuration, if any.",
    ),
]
