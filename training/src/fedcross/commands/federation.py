"""The commands `fedcross federation ...`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Train across real hospitals: kits, the server and the runs.", no_args_is_help=True
)


@app.callback()
def need_flare() -> None:
    """Say what to install, instead of a module's name."""
    from importlib.util import find_spec

    from fedcross.errors import FedCrossError

    if find_spec("nvflare") is None:
        raise FedCrossError(
            "NVIDIA FLARE is not installed here.", 'Install it: pip install "fedcross[federate]"'
        )


AdminKit = Annotated[
    Path,
    typer.Option("--kit", envvar="FEDCROSS_KIT", help="The coordinator's startup kit, admin/."),
]
Run = Annotated[Path, typer.Argument(help="The run's folder, made by submit.")]


@app.command("init")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make, for all kits.")],
    sites: Annotated[str, typer.Option(help="The hospitals' names, commas between.")],
    server: Annotated[
        str, typer.Option(help="Name or address under which the hospitals reach the server.")
    ] = "localhost",
    port: Annotated[int, typer.Option(help="TCP port of the server.")] = 8002,
    name: Annotated[str, typer.Option(help="Of the federation.")] = "fedcross",
) -> None:
    """Make the startup kits: certificates and settings for server, hospitals and coordinator."""
    from fedcross.federate.kits.provision import README, Federation, init_federation

    names = tuple(site.strip() for site in sites.split(",") if site.strip())
    init_federation(folder, Federation(name, names, server, port))
    typer.echo((folder / README).read_text(encoding="utf-8"))


@app.command("start")
def start(
    kit: Annotated[Path, typer.Argument(help="The server's kit or a hospital's.")],
) -> None:
    """Run a kit until Ctrl-C; what dies is started again."""
    from fedcross.federate.flare.start import keep_running
    from fedcross.federate.kits.startup_kit import open_kit

    keep_running(open_kit(kit, "server", "site"), typer.echo)


@app.command("submit")
def submit(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    kit: AdminKit,
    out: Annotated[Path, typer.Option(help="The run's folder, here at the coordinator.")],
) -> None:
    """Train as the configuration says, and see to it until the members are home.

    A job that dies is handed in again and goes on after its last finished round. Ctrl-C ends only
    the watching: the same command takes it up again.
    """
    import tempfile

    from fedcross.federate.flare.admin import FlareCoordinator
    from fedcross.federate.flare.job import build_job
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.federate.supervise.run import SupervisedRun
    from fedcross.training.config.configuration import load_config

    opened, configuration, run = open_kit(kit, "admin"), load_config(config), SupervisedRun(out)
    record = run.begin(configuration)
    with tempfile.TemporaryDirectory() as folder, FlareCoordinator(opened) as coordinator:
        job = build_job(configuration, Path(folder), run_id=record.run)
        names = [site.name for site in configuration.sites]
        run.supervise(coordinator, job, names, typer.echo)
    typer.echo(f"Trained: {out}. Next: fedcross federation fetch {out} BUNDLE --kit {kit}")


@app.command("status")
def status(run: Run, kit: AdminKit) -> None:
    """Say how far a run is, and which hospitals take part."""
    from fedcross.federate.flare.admin import FlareCoordinator
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.federate.supervise.run import SupervisedRun

    with FlareCoordinator(open_kit(kit, "admin")) as coordinator:
        word, told, sites = SupervisedRun(run).progress(coordinator)
    console = Console(highlight=False)
    console.print(f"The job is {word}.", f" {told}" if told else "", sep="", markup=False)
    for name, takes_part in sites.items():
        console.print(f"  {name}: {'takes part' if takes_part else 'connected'}", markup=False)


@app.command("fetch")
def fetch(
    run: Run, bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")], kit: AdminKit
) -> None:
    """Make a bundle of a run's best round; bring the members home first, unless they are."""
    from fedcross.federate.flare.admin import FlareCoordinator
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.federate.supervise.coordinator import FederationError
    from fedcross.federate.supervise.run import SupervisedRun
    from fedcross.training.run.export import export_run

    home = SupervisedRun(run)
    if not home.finished:
        with FlareCoordinator(open_kit(kit, "admin")) as coordinator:
            outcome = home.bring_home(coordinator)
        if outcome.state != "finished":
            raise FederationError(
                f"The run is not finished: {outcome.message}",
                "fedcross federation submit takes it up again.",
            )
    made = export_run(run, bundle)
    typer.echo(f"Exported {len(made.manifest.members)} members: {bundle}")


@app.command("abort")
def abort(run: Run, kit: AdminKit) -> None:
    """End a run's job; its finished rounds are kept at the server, and submit takes it up again."""
    from fedcross.federate.flare.admin import FlareCoordinator
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.federate.supervise.run import SupervisedRun

    with FlareCoordinator(open_kit(kit, "admin")) as coordinator:
        SupervisedRun(run).abort(coordinator)
    typer.echo("Aborted.")
