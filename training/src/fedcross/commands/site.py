"""The commands `fedcross site ...`: at a hospital."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.federation import need_flare

app = typer.Typer(help="At a hospital of a federation.", no_args_is_help=True)

WORDS = {"good": "good", "look": "LOOK", "wrong": "WRONG"}


app.callback()(need_flare)  # and `check` stays a command of its own, though it is the only one


@app.command("check")
def check(
    kit: Annotated[Path, typer.Argument(help="This hospital's startup kit.")],
    config: Annotated[
        Path | None,
        typer.Option(help="The federation's configuration: also read every case."),
    ] = None,
) -> None:
    """Say whether this machine can take part; exit code 2 if anything is wrong."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.errors import FedCrossError
    from fedcross.federate.kits.site_check import check_site
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.training.config.configuration import load_config

    opened = open_kit(kit, "site")
    configuration = None if config is None else load_config(config)
    console = Console(highlight=False)
    console.print(f"{opened.name} in the federation {opened.federation}", markup=False)
    wrong = False
    with ConsoleReporter() as reporter:
        for found in check_site(opened, configuration, reporter, datetime.now(UTC)):
            line = f"{WORDS[found.verdict]:<6} {found.what}: {found.sentence}"
            console.print(line, markup=False, soft_wrap=True)
            wrong |= found.verdict == "wrong"
    if wrong:
        raise FedCrossError(
            f"What is marked WRONG must be put right before {opened.name} can take part."
        )
    typer.echo(f"Ready. Next: fedcross federation start {kit}")
