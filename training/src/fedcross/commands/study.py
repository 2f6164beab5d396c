"""The commands `fedcross compare` and `fedcross landscape`: studies of the training methods."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import AllowPlugin, Cache, DataRoot, Device, tell_what_is_kept


def compare(
    config: Annotated[
        Path, typer.Argument(help="TOML configuration with the data, the network and the budget.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the runs, the tables and the page.")],
    methods: Annotated[
        str,
        typer.Option(
            help="Methods, separated by commas; options follow a colon, for example fedprox:mu=0.1."
        ),
    ] = "fedcross-ens,fedcross,fedavg,fedprox,fedbn,local,centralised",
    seeds: Annotated[int, typer.Option(help="Number of runs per method, each with its seed.")] = 3,
    device: Device = "auto",
    data: DataRoot = None,
    cache: Cache = None,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Train several methods and compare them on one page.

    All have the same splits and the same budget.

    Finished runs in OUT are reused; an interrupted run is resumed.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.compare.compare import compare as run_comparison
    from fedcross.training.config.file import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with tell_what_is_kept("Finished rounds"), ConsoleReporter() as reporter:
        page = run_comparison(
            configuration, out, methods=methods, seeds=seeds, device=device, reporter=reporter
        )
    typer.echo(f"Compared: {page}")


def landscape(
    run: Annotated[Path, typer.Argument(help="Run folder of the starting model.")],
    out: Annotated[Path, typer.Option(help="Folder for the figure and the numbers.")],
    data: Annotated[Path, typer.Option(help="Folder that the sites' paths are relative to.")],
    start: Annotated[
        str,
        typer.Option(help="Starting model: of the best or the last round, or untrained."),
    ] = "best",
    part: Annotated[
        str, typer.Option(help="Cases whose loss is computed: validation or train.")
    ] = "validation",
    cycles: Annotated[
        int, typer.Option(help="Rounds to train, as a multiple of the number of sites.")
    ] = 1,
    cases: Annotated[int, typer.Option(help="Largest number of cases used per site.")] = 4,
    points: Annotated[
        int, typer.Option(help="Number of models along each line and each side of the plane.")
    ] = 15,
    reestimate: Annotated[
        bool,
        typer.Option(
            "--reestimate/--interpolate",
            help="Statistics of batch normalisation: estimated again for every model, or "
            "interpolated like the weights.",
        ),
    ] = True,
    device: Device = "auto",
    allow_plugin: AllowPlugin = None,
) -> None:
    """Show how the loss varies between models.

    The losses of all sites are computed at the average of local models and at cross-trained
    models.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.landscape.landscape import FIGURE, LandscapeRequest
    from fedcross.study.landscape.landscape import landscape as compute_landscape

    request = LandscapeRequest(run, out, data, start, cycles, part, cases, points, reestimate)
    with ConsoleReporter() as reporter:
        compute_landscape(request, device=device, reporter=reporter)
    typer.echo(f"Measured: {out / FIGURE}")
