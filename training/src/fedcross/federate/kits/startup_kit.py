"""Reads a startup kit: its owner, the address of the server, the certificates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fedcross.contract.parse import parse_json
from fedcross.errors import ConfigError

Kind = Literal["server", "site", "admin"]
SETTINGS: dict[Kind, str] = {
    "server": "fed_server.json",
    "site": "fed_client.json",
    "admin": "fed_admin.json",
}
OWNERS: dict[Kind, str] = {
    "server": "the server",
    "site": "a hospital",
    "admin": "the coordinator",
}


@dataclass(frozen=True)
class Kit:
    """One participant's kit.

    Attributes
    ----------
    path
        Absolute path of its folder.
    kind
        Kind of its owner: ``server``, ``site`` or ``admin`` (the coordinator).
    name
        A site's name; the server's host name or the coordinator's address, as in the certificate.
    federation
        Name of the federation.
    host, port
        Host name or address of the server, and its TCP port.
    certificate, key, authority
        PEM files: the owner's certificate, its private key, and the authority's certificate.
    """

    path: Path
    kind: Kind
    name: str
    federation: str
    host: str
    port: int
    certificate: Path
    key: Path
    authority: Path


def open_kit(path: Path, *expected: Kind) -> Kit:
    """Read a kit.

    Parameters
    ----------
    path
        Folder of the kit.
    expected
        The allowed kinds; when left out, all kinds.

    Raises
    ------
    ConfigError
        If the folder is not a kit, or the kit is of another kind or damaged.
    """
    kinds = [kind for kind, name in SETTINGS.items() if (path / "startup" / name).is_file()]
    if len(kinds) != 1:
        raise ConfigError(
            f"{path} is not a startup kit.", "fedcross federation init makes the kits."
        )
    kind = kinds[0]
    if expected and kind not in expected:
        owners = " or ".join(OWNERS[each] for each in expected)
        raise ConfigError(
            f"{path} is the kit of {OWNERS[kind]}; this command needs the kit of {owners}."
        )
    try:
        settings = parse_json((path / "startup" / SETTINGS[kind]).read_text(encoding="utf-8"))
        return _kit(path.absolute(), kind, settings)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"The startup kit {path} is damaged: {SETTINGS[kind]}.") from error


def _kit(path: Path, kind: Kind, settings: dict[str, Any]) -> Kit:
    startup = path / "startup"
    if kind == "admin":
        admin = settings["admin"]
        name, federation = admin["username"], admin["project_name"]
        host, port = admin["host"], admin["port"]
    else:
        (server,) = settings["servers"]
        federation = server["name"]
        host, _, port = server["service"]["target"].rpartition(":")
        name = host if kind == "server" else settings["client"]["fqsn"]
    stem = "server" if kind == "server" else "client"
    return Kit(
        path,
        kind,
        name,
        federation,
        host,
        int(port),
        startup / f"{stem}.crt",
        startup / f"{stem}.key",
        startup / "rootCA.pem",
    )
