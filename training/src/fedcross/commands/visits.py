"""The end of a training at sites in other processes: what each site did."""

from pathlib import Path

import typer

from fedcross.contract.exits import INCOMPLETE
from fedcross.training.run.folder import RunFolder
from fedcross.training.run.participation import (
    count_run_visits,
    describe_missing,
    describe_visits,
)


def end_with_visits(run: Path) -> None:
    """Print the share of its visits that each site made; exit with 3 if a site did not train.

    Parameters
    ----------
    run
        Folder of a finished run.

    Raises
    ------
    typer.Exit
        If no member was trained at one of the sites.
    """
    visits = count_run_visits(RunFolder(run))
    typer.echo(describe_visits(visits))
    if missing := describe_missing(visits):
        typer.echo(f"Warning: {missing}", err=True)
        raise typer.Exit(INCOMPLETE)
