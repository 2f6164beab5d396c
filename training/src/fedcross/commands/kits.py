"""The commands of `fedcross federation` that make startup kits."""

from pathlib import Path
from typing import Annotated

import typer


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
