"""A startup kit as it lies on disk: whose it is, where the server is, with which certificates."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
        Its folder, absolute.
    kind, name
        Who it is for; a server's and a coordinator's name are those in their certificates.
    federation
        Name of the federation.
    host, port
        Of the server.
    certificate, key, authority
        PEM files: its own certificate and private key, and the authority's certificate.
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
        Its folder.
    expected
        The kinds that will do; when left out, every one.

    Raises
    ------
    ConfigError
        If it is no kit, one of another kind, or damaged.
    """
    found = [kind for kind, name in SETTINGS.items() if (path / "startup" / name).is_file()]
    if len(found) != 1:
        raise ConfigError(
            f"{path} is no startup kit.", "It is a folder that fedcross federation init made."
        )
    kind = found[0]
    if expected and kind not in expected:
        wanted = " or ".join(OWNERS[each] for each in expected)
        raise ConfigError(f"{path} is the kit of {OWNERS[kind]}; that of {wanted} is needed here.")
    try:
        settings = json.loads((path / "startup" / SETTINGS[kind]).read_text(encoding="utf-8"))
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
