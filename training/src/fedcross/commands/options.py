"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.contract.request import HELP

Device = Annotated[str, typer.Option(help=HELP["device"])]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that the configuration's data paths are relative to."),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps preprocessed cases for later runs; memory-mapped."),
]
