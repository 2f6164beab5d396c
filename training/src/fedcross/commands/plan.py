"""The command `fedcross plan`: a complete configuration from the data."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import DataRoot, Device


def plan(
    config: Annotated[
        Path,
        typer.Argument(
            help="TOML configuration; method, network, preprocessing and training may be missing."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="TOML file to write; by default it is printed.")
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            help="Memory of a training step, GB; by default that of the GPU, or 0.6 for a CPU, which "
            "limits the time of a step."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps of all members together; by default 1536 for every member."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Rounds; by default so many that a visit has about 4 steps."),
    ] = None,
    device: Device = "auto",
    data: DataRoot = None,
    kit: Annotated[
        Path | None,
        typer.Option(help="The coordinator's startup kit (admin/), to ask the hospitals."),
    ] = None,
) -> None:
    """Propose what a configuration leaves open.

    The reason stands beside each value.

    Every training and validation case is read, at its site. What the configuration states is kept.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.federate.planning import plan as make_plan

    propose = partial(
        make_plan,
        config,
        memory_gb=memory_gb,
        steps=steps,
        rounds=rounds,
        device=device,
        data_root=data,
        kit=kit,
    )
    if out is None:  # only the configuration is printed, so that it can be redirected to a file
        typer.echo(propose()[1], nl=False)
        return
    with ConsoleReporter() as reporter:
        propose(out=out, reporter=reporter)
    following = (
        f"fedcross train {out} --out RUN"
        if kit is None
        else f"fedcross federation submit {out} --kit {kit} --out RUN"
    )
    typer.echo(f"Written: {out}. Next: {following}")
