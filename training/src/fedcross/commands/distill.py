"""The command `fedcross distill`."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import AllowPlugin, Cache, Device, SitesRoot
from fedcross.contract.request import HELP


def distill(
    bundle: Annotated[Path, typer.Argument(help=HELP["bundle"])],
    data: Annotated[
        Path,
        typer.Option(
            help="TOML configuration with the sites of the training cases, and the training."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Bundle folder to make. BUNDLE is not changed.")],
    share: Annotated[
        float,
        typer.Option(
            help="Steps as a share of those of all models of a run with this configuration."
        ),
    ] = 0.25,
    device: Device = "auto",
    data_root: SitesRoot = None,
    cache: Cache = None,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Train one network to give what an ensemble gives.

    It trains on the training cases of all sites in one place and becomes a bundle of one member.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.outcome import distill_lines
    from fedcross.federate.local.distillation import distill as distill_bundle

    with ConsoleReporter() as reporter:
        made = distill_bundle(
            bundle,
            data,
            out,
            share=share,
            device=device,
            data_root=data_root,
            cache=cache,
            reporter=reporter,
        )
    typer.echo("\n".join(distill_lines(made, data)))
