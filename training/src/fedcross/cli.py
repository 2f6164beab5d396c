"""The command `fedcross`.

Exit codes: 0 done, 2 bad input or configuration (one sentence on stderr), 1 anything unexpected,
130 interrupted. Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.bundle import app as bundle_app
from fedcross.commands.data import app as data_app
from fedcross.commands.federation import app as federation_app
from fedcross.commands.options import Cache, DataRoot
from fedcross.commands.segment import segment
from fedcross.commands.site import app as site_app
from fedcross.commands.study import compare, landscape
from fedcross.errors import FedCrossError

app = typer.Typer(
    help="Train segmentation ensembles across hospitals; segment, and see where not to trust it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(bundle_app, name="bundle")
app.add_typer(data_app, name="data")
app.add_typer(federation_app, name="federation")
app.add_typer(site_app, name="site")

DEBUG_VARIABLE = "FEDCROSS_DEBUG"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("build/demo"),
    scene_script: Annotated[
        Path | None,
        typer.Option(help="Script that builds the Slicer scene (in a source checkout)."),
    ] = None,
) -> None:
    """Run the whole path on synthetic hospitals: train, bundle, segment, show the disagreement."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.demo import run_demo

    with ConsoleReporter() as reporter:
        outcome = run_demo(out, reporter, scene_script=scene_script)
    outcome.print(Console(highlight=False))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT.")] = False,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, or GPUs: cuda:0, or cuda:0,cuda:1 for a member on each; one named twice "
            "trains two members side by side."
        ),
    ] = "auto",
    data: DataRoot = None,
    cache: Cache = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write for TensorBoard too, to OUT/tensorboard.")
    ] = False,
) -> None:
    """Train as the configuration says: FedCross, FedCrossEns or a method to compare with."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.federate.engines import run_training
    from fedcross.train.config.configuration import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with ConsoleReporter() as reporter:
        run_training(
            configuration,
            out,
            resume=resume,
            device=device,
            reporter=reporter,
            tensorboard=tensorboard,
        )
    typer.echo(f"Trained: {out}. Next: fedcross export {out} BUNDLE")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    which: Annotated[str, typer.Option(help="best (by validation Dice) or last.")] = "best",
) -> None:
    """Make a bundle of a run's members."""
    from fedcross.train.run.export import export_run

    made = export_run(run, bundle, which=which)
    typer.echo(f"Exported {len(made.manifest.members)} members: {bundle}")


for command in (compare, landscape, segment):
    app.command()(command)


def main() -> None:
    """Run the command line and translate errors, once, at the edge."""
    try:
        app()
    except FedCrossError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last stop before the user: no traceback in the face
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        typer.echo(
            f"Unexpected {type(error).__name__}: {error}. "
            f"Set {DEBUG_VARIABLE}=1 for the details and report it.",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
