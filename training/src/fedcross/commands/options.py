"""Options of several commands."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.contract.request import HELP

Device = Annotated[str, typer.Option(help=HELP["device"])]
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
        help="Folder that stores preprocessed cases for later runs; by default that of the "
        "configuration, if any."
    ),
]
