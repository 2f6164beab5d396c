"""The commands `fedcross site ...`, for a hospital's machine."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.federation import require_flare

app = typer.Typer(help="For a hospital that takes part in a federation.", no_args_is_help=True)

VERDICTS = {"good": "good", "note": "note", "warning": "WARNING", "wrong": "WRONG"}


app.callback()(require_flare)

SiteKit = Annotated[Path, typer.Argument(help="This hospital's startup kit.")]
Sha256 = Annotated[
    str,
    typer.Argument(
        metavar="SHA256", help="SHA-256 of the configuration, or its first 12 characters or more."
    ),
]


@app.command("request")
def request(
    name: Annotated[
        str, typer.Argument(help="This hospital's name, as in the configuration of the training.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to make for the key and the request.")],
) -> None:
    """Make a private key and a certificate request.

    The key stays on this machine. No network is used.
    """
    from fedcross.federate.kits.certificate_request import KEY, key_fingerprint, make_request

    public_key = make_request(out, name)
    typer.echo(
        f"Made {out / KEY}, which stays on this machine, and {out / f'{name}.csr'}: send this one to "
        "the coordinator.\nTell the coordinator the fingerprint of the key by telephone:\n"
        f"  {key_fingerprint(public_key)}"
    )


@app.command("accept")
def accept(
    kit: SiteKit,
    key: Annotated[
        Path,
        typer.Option(help="Private key that fedcross site request made; it is moved into the kit."),
    ],
) -> None:
    """Complete the kit that the coordinator made.

    It was made from this hospital's request and gets this hospital's private key.
    """
    from fedcross.federate.kits.accept_kit import accept_kit, authority_fingerprint

    opened = accept_kit(kit, key)
    typer.echo(
        f"Moved the key into {kit}. Compare the fingerprint of the authority with the coordinator, by "
        f"telephone:\n  {authority_fingerprint(opened.authority)}\n"
        f"Next: fedcross site check {kit}"
    )


@app.command("check")
def check(
    kit: SiteKit,
    config: Annotated[
        Path | None,
        typer.Option(help="The federation's TOML configuration; with it every case is read too."),
    ] = None,
) -> None:
    """Check whether this machine can take part.

    The exit code is 2 if anything is wrong.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.errors import FedCrossError
    from fedcross.federate.kits.site_check import check_site
    from fedcross.federate.kits.startup_kit import open_kit
    from fedcross.training.planning.draft import load_or_draft

    opened = open_kit(kit, "site")
    configuration = None if config is None else load_or_draft(config)
    console = Console(highlight=False)
    console.print(f"{opened.name} in the federation {opened.federation}", markup=False)
    has_errors = False
    with ConsoleReporter(console) as reporter:
        for finding in check_site(opened, configuration, reporter, datetime.now(UTC)):
            line = f"{VERDICTS[finding.verdict]:<7} {finding.topic}: {finding.message}"
            console.print(line, markup=False, soft_wrap=True)
            has_errors |= finding.verdict == "wrong"
    if has_errors:
        raise FedCrossError(f"Correct everything marked WRONG before {opened.name} can take part.")
    typer.echo(f"Ready. Next: fedcross federation start {kit}")


@app.command("status")
def status(
    kit: SiteKit,
    visits: Annotated[
        int, typer.Option(min=1, help="Number of entries of visits.log to show.")
    ] = 20,
) -> None:
    """Show what was done at this hospital.

    Runs, visits, losses, and what left the hospital are shown. No network is used.
    """
    from fedcross.federate.kits.site_status import describe_site
    from fedcross.federate.kits.startup_kit import open_kit

    console = Console(highlight=False)
    for line in describe_site(open_kit(kit, "site"), datetime.now(UTC), visits):
        console.print(line, markup=False, soft_wrap=True)


@app.command("approvals")
def approvals(
    kit: SiteKit,
    all_: Annotated[
        bool, typer.Option("--all", help="Also show the configurations that were decided.")
    ] = False,
) -> None:
    """Show the configurations that wait for approval.

    They are described in words. No network is used.
    """
    from fedcross.federate.kits.approvals import read_approvals
    from fedcross.federate.kits.site_settings import load_site_settings
    from fedcross.federate.kits.startup_kit import open_kit

    opened = open_kit(kit, "site")
    console = Console(highlight=False)
    if not load_site_settings(opened.path).requires_approval:
        typer.echo(
            "This hospital requires no approval: requires_approval in local/site.toml is false."
        )
    records = read_approvals(opened.path)
    waiting = [record for record in records if record.state is None]
    for record in records if all_ else waiting:
        first, *others = record.lines()
        for line in (first, *(f"  {each}" for each in others), ""):
            console.print(line, markup=False, soft_wrap=True)
    if waiting:
        typer.echo(
            f"Next: fedcross site approve {kit} SHA256, or fedcross site reject {kit} SHA256"
        )
    else:
        typer.echo("No configuration waits for an approval.")


@app.command("approve")
def approve(kit: SiteKit, sha256: Sha256) -> None:
    """Approve a configuration that was asked for.

    The coordinator's next `submit` goes on.
    """
    from fedcross.federate.kits.approvals import decide
    from fedcross.federate.kits.startup_kit import open_kit

    record = decide(open_kit(kit, "site").path, sha256, "approved")
    typer.echo(f"Approved {record.sha256}. The coordinator submits the run again.")


@app.command("reject")
def reject(kit: SiteKit, sha256: Sha256) -> None:
    """Reject a configuration.

    An approved one can be rejected, too: a run under way gets no more visits.
    """
    from fedcross.federate.kits.approvals import decide
    from fedcross.federate.kits.startup_kit import open_kit

    record = decide(open_kit(kit, "site").path, sha256, "rejected")
    typer.echo(f"Rejected {record.sha256}.")
