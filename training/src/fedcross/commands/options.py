"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto, cpu, or a GPU such as cuda:0.")]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that the configuration's data paths are relative to."),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps preprocessed cases for later runs; memory-mapped."),
]
