"""The commands of `fedcross federation` that make startup kits."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.certificate_requests import Request, open_request, tell_fingerprints


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make for all kits.")],
    sites: Annotated[str, typer.Option(help="The hospitals' names, separated by commas.")],
    server: Annotated[
        str, typer.Option(help="Host name or address under which the hospitals reach the server.")
    ] = "localhost",
    port: Annotated[
        int, typer.Option(help="TCP port under which the hospitals reach the server.")
    ] = 8002,
    listen_port: Annotated[
        int | None,
        typer.Option(
            help="TCP port at which the server listens, if a proxy passes PORT on to it; PORT if not "
            "given."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the federation.")] = "fedcross",
    request: Annotated[
        list[Path] | None,
        typer.Option(
            help="Certificate request of one of the sites, which made its private key itself; can be "
            "given for several sites."
        ),
    ] = None,
) -> None:
    """Make the startup kits of all participants.

    They are the server, the hospitals and the coordinator.
    """
    from fedcross.errors import ConfigError
    from fedcross.federate.kits.certificate_request import read_request
    from fedcross.federate.kits.provision import README, Federation, init_federation

    names = tuple(site.strip() for site in sites.split(",") if site.strip())
    requests = [read_request(path) for path in request or ()]
    keys = {each.name: each.public_key for each in requests}
    if len(keys) != len(requests):
        raise ConfigError("Two requests are for the same hospital; give one for each.")
    init_federation(folder, Federation(name, names, server, port, listen_port), keys)
    typer.echo((folder / README).read_text(encoding="utf-8"))
    for each in requests:
        tell_fingerprints(folder, each)


def add(
    folder: Annotated[Path, typer.Argument(help="Folder with all kits, made by init.")],
    name: Annotated[str, typer.Argument(help="Name of the new hospital or coordinator.")],
    request: Request = None,
    coordinator: Annotated[
        bool,
        typer.Option(
            "--coordinator",
            help="Add a coordinator, with the rights of the first one, not a hospital.",
        ),
    ] = False,
) -> None:
    """Make the kit of one more hospital or coordinator.

    All other kits go on working.
    """
    from fedcross.errors import ConfigError
    from fedcross.federate.kits.add_coordinator import add_coordinator
    from fedcross.federate.kits.add_site import add_site
    from fedcross.federate.kits.federation_folder import coordinator_kits, read_federation
    from fedcross.federate.kits.roster import ROSTER

    if coordinator:
        if request is not None:
            raise ConfigError("A request is for a hospital only, not for a coordinator.")
        made = add_coordinator(folder, name)
        typer.echo(f"Made {made}. Give it to the coordinator as {folder / 'README.txt'} says.")
        return
    opened = open_request(request, name)
    made = add_site(folder, name, None if opened is None else opened.public_key)
    typer.echo(f"Made {made}. Give it to the hospital as {folder / 'README.txt'} says.")
    if opened is not None:
        tell_fingerprints(folder, opened)
    for kit in coordinator_kits(folder, read_federation(folder)[1]):
        if not (kit / "local").is_dir():
            typer.echo(
                f"Add {name} to local/{ROSTER} in the coordinator's kit, {kit.name}, which is not in "
                f"{folder}."
            )


def renew(
    folder: Annotated[Path, typer.Argument(help="Folder with all kits, made by init.")],
    name: Annotated[
        str, typer.Argument(help="server, admin, or the name of a hospital or coordinator.")
    ],
    request: Request = None,
) -> None:
    """Make a new certificate and key for one kit.

    All other kits go on working.

    A hospital that made its private key itself sends a new request for every renewal.
    """
    from fedcross.federate.kits.certificates import DAY, load_certificate
    from fedcross.federate.kits.renew import renew_kit
    from fedcross.federate.kits.startup_kit import open_kit

    opened = open_request(request, name)
    made = renew_kit(folder, name, None if opened is None else opened.public_key)
    kit = open_kit(made.parent)
    ends = load_certificate(kit.certificate).not_valid_after_utc
    typer.echo(f"Made {made}, valid until {ends:{DAY}}.")
    if opened is not None:
        typer.echo(
            "Give the folder to the hospital. It ends the kit's process, puts the folder in the place "
            "of startup in the kit, joins it with its key (fedcross site accept), and starts it again."
        )
        tell_fingerprints(folder, opened)
    elif kit.kind == "admin":
        typer.echo("The coordinator puts the folder in the place of startup in the kit.")
    else:
        typer.echo(
            "Give the folder to its owner as you gave the kit. The owner ends the kit's process, puts "
            "the folder in the place of startup in the kit, and starts it again."
        )


def clean(
    kit: Annotated[Path, typer.Argument(help="Startup kit of the server or a hospital.")],
    older_than: Annotated[
        str,
        typer.Option(metavar="AGE", help="Time without a change, in days."),
    ] = "30d",
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Also delete runs that did not finish and could be continued."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be deleted.")
    ] = False,
) -> None:
    """Delete what finished runs left in a kit.

    Only files that have not changed for some time are deleted, never those of a running one.

    At the server: run folders with the members, FLARE's jobs and their results. At a hospital: the
    folders of its jobs. Fetch the bundle first: a run that was deleted cannot be fetched again, nor get
    more rounds. Settings, keys, visits.log and approvals.json stay. The process of the kit may run.
    """
    from fedcross.federate.flare.clean import delete, find_leftovers, is_due
    from fedcross.federate.kits.startup_kit import open_kit

    age, now = _parse_age(older_than), datetime.now(UTC)
    found = find_leftovers(open_kit(kit, "server", "site"))
    due = [each for each in found if is_due(each, age, now, unfinished=unfinished)]
    freed = 0
    for leftover in due:
        if dry_run or delete(leftover):
            freed += leftover.bytes
            typer.echo(f"{'Would delete' if dry_run else 'Deleted'} {leftover.line()}")
    stays = [each for each in found if each not in due]
    for leftover in stays:
        if leftover.state:
            typer.echo(f"Kept {leftover.line()}")
    size = sum(each.bytes for each in stays) / 1e6
    typer.echo(
        f"{'Would free' if dry_run else 'Freed'} {freed / 1e6:.1f} MB; {size:.1f} MB of "
        f"{len(stays)} others stay."
    )


def revoke(
    site: Annotated[str, typer.Argument(help="Name of the hospital.")],
    kit: Annotated[
        Path,
        typer.Option(
            "--kit", envvar="FEDCROSS_KIT", help="The coordinator's startup kit (admin/)."
        ),
    ],
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Let the hospital take part again, with every kit it had."),
    ] = False,
) -> None:
    """Let the server refuse a hospital from now on.

    It refuses every kit of its name, also a renewed one.

    The server must run; it keeps this when it is started again. A job that is under way goes on: end it
    with abort. The hospital's certificate stays as it is, so other servers of the federation accept it.
    """
    from fedcross.errors import ConfigError
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.kits.roster import read_roster

    opened = open_coordinator_kit(kit, typer.echo)
    known = read_roster(opened)
    if known is not None and site not in known:
        raise ConfigError(
            f"There is no hospital {site[:80]!r}; the federation has {', '.join(known)}."
        )
    with open_server_connection(opened) as connection:
        was_refused = connection.lock_out(site, undo=undo)
    if undo:
        typer.echo(f"The server accepts {site}." if was_refused else f"{site} was not refused.")
        return
    typer.echo(
        f"The server {'already refused' if was_refused else 'refuses'} {site}. A job that is under way "
        "goes on with it: end it with fedcross federation abort."
    )


def _parse_age(text: str) -> timedelta:
    """Parse a number of days, such as ``30d``."""
    from fedcross.errors import ConfigError

    # One day is the least: a job or a download that has only begun has no record yet.
    found = re.fullmatch(r"([1-9]\d{0,4})d", text)
    if found is None:
        raise ConfigError(
            f"--older-than must be a number of days from 1 on, such as 30d, got {text[:40]!r}."
        )
    return timedelta(days=int(found[1]))
