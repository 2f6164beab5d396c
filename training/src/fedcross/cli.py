"""The command `fedcross`.

An error is one sentence on stderr; the exit codes are those of `fedcross.contract.exits`. Large
libraries are imported inside the commands, so that `--help` does not wait for them.
"""

import os
import shlex
import sys
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.bundle import app as bundle_app
from fedcross.commands.calibrate import calibrate
from fedcross.commands.data import app as data_app
from fedcross.commands.distill import distill
from fedcross.commands.evaluate import evaluate
from fedcross.commands.federation import app as federation_app
from fedcross.commands.options import AllowPlugin, Cache, DataRoot, split_numbers
from fedcross.commands.plan import plan
from fedcross.commands.profile import profile
from fedcross.commands.segment import segment
from fedcross.commands.site import app as site_app
from fedcross.commands.study import compare, landscape
from fedcross.contract.exits import DEBUG_VARIABLE, DONE, NO_READER, UNEXPECTED, explain
from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError
from fedcross.runtime.output import output_without_reader
from fedcross.runtime.signals import end_soon_after_interrupt
from fedcross.runtime.versions import __version__

app = typer.Typer(
    help="Train segmentation ensembles across hospitals; segment, and see where the members disagree.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(bundle_app, name="bundle")
app.add_typer(data_app, name="data")
app.add_typer(federation_app, name="federation")
app.add_typer(site_app, name="site")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fedcross {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything.")] = Path("build/demo"),
    scene_script: Annotated[
        Path | None,
        typer.Option(
            help="Script that also builds a scene for 3D Slicer: Testing/harness/demo_scene.py in a "
            "source checkout."
        ),
    ] = None,
) -> None:
    """Train, export and segment on synthetic hospitals.

    The results of an earlier demo in OUT are replaced. The command takes some minutes.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.demo import run_demo

    with ConsoleReporter() as reporter:
        outcome = run_demo(out, reporter, scene_script=scene_script)
    outcome.print(Console(highlight=False))


def train(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT.")] = False,
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, or GPUs: cuda:0, or cuda:0,cuda:1 for a member on each; a GPU named twice "
            "trains two members at the same time."
        ),
    ] = "auto",
    data: DataRoot = None,
    cache: Cache = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Bundle whose members the run begins from, in place of random weights."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write OUT/tensorboard for TensorBoard.")
    ] = False,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Train with a configuration, on this machine.

    The configuration names the method: FedCross, FedCrossEns, or one to compare with.
    """
    from fedcross import api
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.outcome import train_lines
    from fedcross.commands.visits import end_with_visits
    from fedcross.training.run.folder import RunFolder

    try:
        with ConsoleReporter() as reporter:
            api.train(
                config,
                out,
                resume=resume,
                device=device,
                data_root=data,
                cache=cache,
                start=start,
                tensorboard=tensorboard,
                reporter=reporter,
            )
    except KeyboardInterrupt:
        if (out / "checkpoints").is_dir():
            typer.echo(
                "Every finished round is kept. Go on: "
                + shlex.join(["fedcross", "train", str(config), "--out", str(out), "--resume"]),
                err=True,
            )
        raise
    typer.echo("\n".join(train_lines(out)))
    if RunFolder(out).configuration().engine.kind != "local":
        end_with_visits(out)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    which: Annotated[
        str, typer.Option(help="kept (as training.keep says), last, or best by validation Dice.")
    ] = "kept",
    members: Annotated[
        str | None,
        typer.Option(help="Numbers of members, from 0, separated by commas; by default all."),
    ] = None,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Make a bundle of a run's members."""
    from fedcross.api import export as export_bundle
    from fedcross.commands.outcome import export_lines

    chosen = None if members is None else split_numbers("--members", members)
    typer.echo("\n".join(export_lines(export_bundle(run, bundle, which=which, members=chosen))))


# In the order of the help: first segmentation, then training, then what is done with a bundle.
for command in (
    *(demo, segment, plan, train, compare, landscape),
    *(export, distill, calibrate, profile, evaluate),
):
    app.command()(command)


def _refuse_empty_values(arguments: list[str]) -> None:
    """Refuse the value of a shell's variable that is not set: as a path it is the current folder."""
    for before, value in zip(["fedcross", *arguments], arguments, strict=False):
        place = f"after {before}" if not value else f"of {value.removesuffix('=')}"
        if not value or (value.startswith("--") and value.endswith("=")):
            raise ConfigError(
                f"The value {plain_text(place, 80)} is empty.",
                "Give one, or leave out the option; perhaps a variable of the shell is not set.",
            )


def main() -> None:
    """Run the command line and end with its exit code; an error becomes a sentence on stderr.

    If nobody reads the output any more, the command goes on and completes its files.
    """
    with output_without_reader() as output:
        code = _run()
    sys.exit(NO_READER if code == DONE and not output.has_readers else code)


def _run() -> int | str | None:
    """Run the command line; return what `sys.exit` takes."""
    # A server or a hospital stops its processes first, which may take longer.
    is_service = sys.argv[1:2] in (["federation"], ["site"])
    try:
        with nullcontext() if is_service else end_soon_after_interrupt():
            _refuse_empty_values(sys.argv[1:])
            app()
    except SystemExit as ended:
        return ended.code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error becomes an exit code
        hint = f"Set {DEBUG_VARIABLE}=1 for the details and report it."
        code, event = explain(error, hint=hint)
        if code == UNEXPECTED and os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        typer.echo(str(event), err=True)
        return code
    return DONE


if __name__ == "__main__":
    main()
