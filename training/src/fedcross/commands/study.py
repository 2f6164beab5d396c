"""The commands `fedcross compare` and `fedcross landscape`: what a researcher asks of the methods."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import Cache, DataRoot, Device


def compare(
    config: Annotated[Path, typer.Argument(help="TOML configuration: data, network, budget.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs, the tables and the page.")],
    methods: Annotated[
        str, typer.Option(help="Commas between; options after a colon, as fedprox:mu=0.1.")
    ] = "fedcross-ens,fedcross,fedavg,fedprox,fedbn,local,centralised",
    seeds: Annotated[int, typer.Option(help="Runs of each method.")] = 3,
    device: Device = "auto",
    data: DataRoot = None,
    cache: Cache = None,
) -> None:
    """Run several methods on the same splits and budget, and compare them on one page.

    Finished runs in OUT are kept, an interrupted one goes on.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.compare.compare import compare as run_comparison
    from fedcross.train.config.configuration import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with ConsoleReporter() as reporter:
        page = run_comparison(
            configuration, out, methods=methods, seeds=seeds, device=device, reporter=reporter
        )
    typer.echo(f"Compared: {page}")


def landscape(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the figure and the numbers.")],
    data: Annotated[Path, typer.Option(help="Folder that the run's data paths are relative to.")],
    start: Annotated[
        str, typer.Option(help="Model to set out from: best or last round, or untrained.")
    ] = "best",
    part: Annotated[str, typer.Option(help="Whose loss: validation or train.")] = "validation",
    cycles: Annotated[int, typer.Option(help="Rounds to train, in numbers of sites.")] = 1,
    cases: Annotated[int, typer.Option(help="At most so many cases of each site.")] = 4,
    points: Annotated[int, typer.Option(help="Along each line and side of the plane.")] = 15,
    reestimate: Annotated[
        bool,
        typer.Option(
            "--reestimate/--interpolate",
            help="Batch normalisation's statistics: measured anew for every model, or combined as "
            "the weights are.",
        ),
    ] = True,
    device: Device = "auto",
) -> None:
    """Show where the average of local models and cross-trained models sit on the sites' losses."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.landscape.landscape import FIGURE, LandscapeRequest
    from fedcross.study.landscape.landscape import landscape as look

    request = LandscapeRequest(run, out, data, start, cycles, part, cases, points, reestimate)
    with ConsoleReporter() as reporter:
        look(request, device=device, reporter=reporter)
    typer.echo(f"Measured: {out / FIGURE}")
