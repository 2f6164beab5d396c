"""The commands `fedcross federation ...`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.calibrate import PoolingOption
from fedcross.commands.options import AllowPlugin, Device, split_names

app = typer.Typer(help="Train across hospitals: startup kits, server, runs.", no_args_is_help=True)


@app.callback()
def require_flare() -> None:
    """Raise an error that names the package to install if NVIDIA FLARE is missing."""
    from importlib.util import find_spec

    from fedcross.errors import FedCrossError

    if find_spec("nvflare") is None:
        raise FedCrossError(
            "NVIDIA FLARE is not installed.", 'Install it: pip install "fedcross[federate]"'
        )


AdminKit = Annotated[
    Path,
    typer.Option("--kit", envvar="FEDCROSS_KIT", help="The coordinator's startup kit (admin/)."),
]
Run = Annotated[Path, typer.Argument(help="Run folder that submit made.")]


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make for all kits.")],
    sites: Annotated[str, typer.Option(help="The hospitals' names, separated by commas.")],
    server: Annotated[
        str, typer.Option(help="Host name or address under which the hospitals reach the server.")
    ] = "localhost",
    port: Annotated[int, typer.Option(help="TCP port of the server.")] = 8002,
    name: Annotated[str, typer.Option(help="Name of the federation.")] = "fedcross",
) -> None:
    """Make the startup kits of the server, the hospitals and the coordinator."""
    from fedcross.federate.kits.provision import README, Federation, init_federation

    names = tuple(site.strip() for site in sites.split(",") if site.strip())
    init_federation(folder, Federation(name, names, server, port))
    typer.echo((folder / README).read_text(encoding="utf-8"))


@app.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="Folder with all kits, made by init.")],
    site: Annotated[str, typer.Argument(help="Name of the new hospital.")],
) -> None:
    """Make the startup kit of one more hospital; all other kits go on working."""
    from fedcross.federate.kits.add_site import add_site
    from fedcross.federate.kits.provision import ADMIN
    from fedcross.federate.kits.roster import ROSTER

    made = add_site(folder, site)
    typer.echo(f"Made {made}. Give it to the hospital as {folder / 'README.txt'} says.")
    if not (folder / ADMIN).is_dir():
        typer.echo(
            f"Add {site} to local/{ROSTER} in the coordinator's kit, which is not in {folder}."
        )


@app.command("renew")
def renew(
    folder: Annotated[Path, typer.Argument(help="Folder with all kits, made by init.")],
    name: Annotated[str, typer.Argument(help="server, admin, or the name of a hospital.")],
) -> None:
    """Make a new certificate and key for one kit; all other kits go on working."""
    from fedcross.federate.kits.certificates import DAY, read_validity
    from fedcross.federate.kits.renew import renew_kit
    from fedcross.federate.kits.startup_kit import open_kit

    made = renew_kit(folder, name)
    ends = read_validity(open_kit(made.parent)).ends
    typer.echo(f"Made {made}, valid until {ends:{DAY}}.")
    if name != "admin":
        typer.echo(
            "Give the folder to its owner as you gave the kit. The owner ends the kit's process, puts "
            "the folder in the place of startup in the kit, and starts it again."
        )


@app.command("start")
def start(
    kit: Annotated[Path, typer.Argument(help="Startup kit of the server or a hospital.")],
    allow_plugin: AllowPlugin = None,
) -> None:
    """Run the server or a hospital until Ctrl-C; a process that ends is started again."""
    from fedcross.federate.flare.processes import keep_running
    from fedcross.federate.kits.startup_kit import open_kit

    keep_running(open_kit(kit, "server", "site"), typer.echo)


@app.command("submit")
def submit(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    kit: AdminKit,
    out: Annotated[Path, typer.Option(help="Run folder on this machine.")],
) -> None:
    """Train at the hospitals and download the members at the end.

    A job that fails is submitted again and continues after its last finished round. Ctrl-C ends this
    command only, not the training; the same command continues to follow the run.
    """
    import tempfile

    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.flare.job import build_job
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import FederatedRun
    from fedcross.training.config.configuration import load_config

    configuration, run = load_config(config), FederatedRun(out)
    opened = open_coordinator_kit(kit, typer.echo, configuration, waits=True)
    record = run.begin(configuration)
    with tempfile.TemporaryDirectory() as folder, open_server_connection(opened) as connection:
        job_folder = build_job(configuration, Path(folder), run_id=record.run)
        names = [site.name for site in configuration.sites]
        run.supervise(connection, job_folder, names, typer.echo)
    typer.echo(f"Trained: {out}. Next: fedcross federation fetch {out} BUNDLE --kit {kit}")


@app.command("status")
def status(run: Run, kit: AdminKit) -> None:
    """Show the progress of a run and the hospitals that take part."""
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import FederatedRun

    federated_run = FederatedRun(run)
    _ = federated_run.record  # raises if there is no run
    opened = open_coordinator_kit(kit, typer.echo)
    with open_server_connection(opened) as connection:
        job_status, message, sites = federated_run.get_progress(connection)
    console = Console(highlight=False)
    line = f"Job: {job_status}." + (f" {message}" if message else "")
    console.print(line, markup=False)
    for name, takes_part in sites.items():
        console.print(f"  {name}: {'takes part' if takes_part else 'connected'}", markup=False)


@app.command("fetch")
def fetch(
    run: Run,
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    kit: AdminKit,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Make a bundle of the round that a run keeps; download the members first, if they are not here."""
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import CONTINUE_HINT, FederatedRun
    from fedcross.federate.supervise.server_connection import FederationError
    from fedcross.training.run.export import export_run

    federated_run = FederatedRun(run)
    if not federated_run.finished:
        _ = federated_run.record  # raises if there is no run
        opened = open_coordinator_kit(kit, typer.echo)
        with open_server_connection(opened) as connection:
            outcome = federated_run.download(connection)
        if outcome.state != "finished":
            raise FederationError(f"The run is not finished: {outcome.message}", CONTINUE_HINT)
    exported = export_run(run, bundle)
    typer.echo(f"Exported {len(exported.manifest.members)} members: {bundle}")


@app.command("calibrate")
def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Bundle: a folder or a .zip file.")],
    config: Annotated[Path, typer.Argument(help="TOML configuration with the sites.")],
    out: Annotated[
        Path, typer.Option(help="Bundle to write: a folder, or a .zip. BUNDLE is not changed.")
    ],
    kit: Annotated[
        Path | None,
        typer.Option(
            envvar="FEDCROSS_KIT",
            help='The coordinator\'s startup kit (admin/), for engine.kind = "flare".',
        ),
    ] = None,
    part: Annotated[
        str, typer.Option(help="Cases to use, separated by commas: train, validation, test.")
    ] = "validation",
    pooling: PoolingOption = "shrunk",
    device: Device = "auto",
    allow_plugin: AllowPlugin = None,
) -> None:
    """Calibrate a bundle with the hospitals' labelled cases; only counts and sums leave a hospital."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.federate.calibrating import calibrate_federation
    from fedcross.training.config.configuration import load_config

    with ConsoleReporter() as reporter:
        made = calibrate_federation(
            bundle,
            load_config(config),
            out,
            parts=split_names(part),
            pooling=pooling,
            device=device,
            kit=kit,
            reporter=reporter,
        )
    typer.echo(f"Calibrated with {made.cases} cases of {made.sites} sites: {out}")


@app.command("abort")
def abort(run: Run, kit: AdminKit) -> None:
    """End a run's job; the server keeps the finished rounds, and submit continues the run."""
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.federated_run import FederatedRun

    federated_run = FederatedRun(run)
    _ = federated_run.record  # raises if there is no run
    opened = open_coordinator_kit(kit, typer.echo, waits=True)
    with open_server_connection(opened) as connection:
        federated_run.abort(connection)
    typer.echo("Aborted.")
