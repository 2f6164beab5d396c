"""The commands `fedcross federation ...`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcross.commands.federated_bundles import calibrate, profile
from fedcross.commands.kits import add, clean, init, renew, revoke
from fedcross.commands.options import AllowPlugin

if TYPE_CHECKING:
    from fedcross.federate.supervise.federated_run import FederatedRun
    from fedcross.federate.supervise.server_connection import ServerConnection

app = typer.Typer(help="Train across hospitals: startup kits, server, runs.", no_args_is_help=True)


@app.callback()
def require_flare() -> None:
    """Raise an error that names the package to install if NVIDIA FLARE is missing."""
    from importlib.util import find_spec

    from fedcross.errors import FedCrossError

    if find_spec("nvflare") is None:
        raise FedCrossError(
            "NVIDIA FLARE is not installed.", "Install it: pip install 'fedcross[federate]'"
        )


AdminKit = Annotated[
    Path,
    typer.Option("--kit", envvar="FEDCROSS_KIT", help="The coordinator's startup kit (admin/)."),
]
Run = Annotated[Path, typer.Argument(help="Run folder that submit made.")]


for command in (init, add, renew, revoke, clean, calibrate, profile):
    app.command()(command)


@contextmanager
def _connect(
    run: Path, kit: Path, *, waits: bool = False
) -> "Iterator[tuple[FederatedRun, ServerConnection]]":
    """Open a connection to the server for the run in a folder; without a run nothing is opened."""
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import FederatedRun

    federated_run = FederatedRun(run)
    _ = federated_run.record  # raises if there is no run
    opened = open_coordinator_kit(kit, typer.echo, waits=waits)
    with open_server_connection(opened) as connection:
        yield federated_run, connection


@app.command("start")
def start(
    kit: Annotated[Path, typer.Argument(help="Startup kit of the server or a hospital.")],
    allow_plugin: AllowPlugin = None,
) -> None:
    """Run the server or a hospital until Ctrl-C.

    A process that ends is started again.
    """
    from fedcross.federate.flare.processes import keep_running
    from fedcross.federate.kits.startup_kit import open_kit

    keep_running(open_kit(kit, "server", "site"), typer.echo)


@app.command("submit")
def submit(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    kit: AdminKit,
    out: Annotated[Path, typer.Option(help="Run folder on this machine.")],
    min_sites: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Hospitals that must be able to train before a job begins, in place of "
            "engine.min_sites; without both, all.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write OUT/tensorboard for TensorBoard.")
    ] = False,
) -> None:
    """Train at the hospitals and download the members.

    A job that fails is submitted again and continues after its last finished round. A run that was
    refused is handed in again by the same command. Ctrl-C ends this command only, not the training; the
    same command continues to follow the run. Exit code 3: trained, but a hospital took no part.
    """
    import tempfile
    from contextlib import nullcontext

    from fedcross.commands.visits import end_with_visits
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.flare.job import build_job
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import FederatedRun
    from fedcross.training.config.file import load_config
    from fedcross.training.run.folder import RunFolder
    from fedcross.training.run.tensorboard_writer import TensorBoardWriter

    configuration, run = load_config(config), FederatedRun(out)
    opened = open_coordinator_kit(kit, typer.echo, configuration, waits=True)
    record = run.begin(configuration)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_server_connection(opened) as connection,
        TensorBoardWriter(RunFolder(out)) if tensorboard else nullcontext() as writer,
    ):
        job_folder = build_job(configuration, Path(folder), run_id=record.run, min_sites=min_sites)
        run.supervise(
            connection,
            job_folder,
            configuration,
            typer.echo,
            min_sites=min_sites,
            add_metrics=writer.write_metrics if writer else None,
        )
    typer.echo(f"Trained: {out}. Next: fedcross federation fetch {out} BUNDLE --kit {kit}")
    end_with_visits(out)


@app.command("status")
def status(run: Run, kit: AdminKit) -> None:
    """Show the state of a run at every hospital.

    The table has visits, losses and Dice.
    """
    from fedcross.commands.progress_table import describe_progress
    from fedcross.federate.supervise.progress import get_progress

    with _connect(run, kit) as (federated_run, connection):
        progress = get_progress(federated_run, connection)
    for line in describe_progress(progress):
        typer.echo(line)


@app.command("fetch")
def fetch(
    run: Run,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    kit: AdminKit,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Make a bundle of the round that a run keeps.

    The members are downloaded first, if they are not here.
    """
    from fedcross.commands.outcome import export_lines
    from fedcross.federate.supervise.federated_run import FederatedRun
    from fedcross.federate.supervise.outcome import CONTINUE_HINT
    from fedcross.federate.supervise.server_connection import FederationError
    from fedcross.training.run.export import export_run
    from fedcross.training.run.folder import RunFolder
    from fedcross.training.run.participation import count_run_visits, describe_missing

    federated_run = FederatedRun(run)
    if not federated_run.finished:
        with _connect(run, kit) as (_, connection):
            outcome = federated_run.download(connection)
        if outcome.state != "finished":
            raise FederationError(f"The run is not finished: {outcome.message}", CONTINUE_HINT)
    typer.echo("\n".join(export_lines(export_run(run, bundle), kit)))
    if missing := describe_missing(count_run_visits(RunFolder(run))):
        typer.echo(f"Warning: {missing}", err=True)


@app.command("abort")
def abort(run: Run, kit: AdminKit) -> None:
    """End a run's job at the hospitals.

    The server keeps the finished rounds, and `submit` continues the run.
    """
    with _connect(run, kit, waits=True) as (federated_run, connection):
        federated_run.abort(connection)
    typer.echo("Aborted.")
