"""The commands `fedcross site ...`, for a hospital's machine."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.federation import require_flare

app = typer.Typer(help="For a hospital that takes part in a federation.", no_args_is_help=True)

VERDICTS = {"good": "good", "warning": "WARNING", "wrong": "WRONG"}


app.callback()(require_flare)


@app.command("check")
def check(
    kit: Annotated[Path, typer.Argument(help="This hospital's startup kit.")],
    config: Annotated[
        Path | None,
        typer.Option(help="The federation's TOML configuration; with it every case is read too."),
    ] = None,
) -> None:
    """Check whether this machine can take part; exit code 2 if anything is wrong."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.errors import FedCrossError
    from fedcross.federate.kits.site_check import check_site
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.training.planning.draft import load_or_draft

    opened = open_kit(kit, "site")
    configuration = None if config is None else load_or_draft(config)
    console = Console(highlight=False)
    console.print(f"{opened.name} in the federation {opened.federation}", markup=False)
    has_errors = False
    with ConsoleReporter() as reporter:
        for finding in check_site(opened, configuration, reporter, datetime.now(UTC)):
            line = f"{VERDICTS[finding.verdict]:<7} {finding.topic}: {finding.message}"
            console.print(line, markup=False, soft_wrap=True)
            has_errors |= finding.verdict == "wrong"
    if has_errors:
        raise FedCrossError(f"Correct everything marked WRONG before {opened.name} can take part.")
    typer.echo(f"Ready. Next: fedcross federation start {kit}")


@app.command("status")
def status(
    kit: Annotated[Path, typer.Argument(help="This hospital's startup kit.")],
    visits: Annotated[
        int, typer.Option(min=1, help="Number of entries of visits.log to show.")
    ] = 20,
) -> None:
    """Show what was done at this hospital: runs, visits, losses, and what left it; no network."""
    from fedcross.federate.kits.site_status import describe_site
    from fedcross.federate.kits.startup_kit import open_kit

    console = Console(highlight=False)
    for line in describe_site(open_kit(kit, "site"), datetime.now(UTC), visits):
        console.print(line, markup=False, soft_wrap=True)
