"""Certificate requests on the command line of the coordinator."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedcross.federate.kits.certificate_request import CertificateRequest

Request = Annotated[
    Path | None,
    typer.Option(
        help="Certificate request of a hospital that made its private key itself (fedcross site "
        "request). The kit then contains no private key."
    ),
]


def open_request(path: Path | None, name: str) -> "CertificateRequest | None":
    """Read a request, which must be for the participant `name`; None without a file."""
    from fedcross.federate.kits.certificate_request import read_request, require_name

    if path is None:
        return None
    request = read_request(path)
    require_name(request, name)
    return request


def tell_fingerprints(folder: Path, request: "CertificateRequest") -> None:
    """Print what coordinator and hospital compare."""
    from fedcross.federate.kits.accept_kit import authority_fingerprint
    from fedcross.federate.kits.certificate_request import key_fingerprint
    from fedcross.federate.kits.provision import SITES, STARTUP

    authority = folder / SITES / request.name / STARTUP / "rootCA.pem"
    typer.echo(
        f"Compare with {request.name}, by telephone:\n"
        f"  its key        {key_fingerprint(request.public_key)}\n"
        f"  the authority  {authority_fingerprint(authority)}"
    )
