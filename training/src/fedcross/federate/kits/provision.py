"""A federation's startup kits: its participants, and a folder for each of them.

::

    README.txt       which folder goes to whom, and how to hand it over
    project.yml      the FLARE project that the kits were made from
    authority/       the certificate authority; stays on this machine
    admin/           the coordinator's kit, for submit, status, fetch and abort
    coordinators/<name>/  the kit of one more coordinator
    server/          the server's kit
    sites/<name>/    a hospital's kit; the hospital edits local/site.toml
"""

import ipaddress
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fedcross.errors import ConfigError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.certificates import read_ends
from fedcross.federate.kits.hardening import (
    configure_admin_kit,
    configure_server_kit,
    configure_site_kit,
    restrict_to_owner,
    set_listen_port,
)
from fedcross.federate.kits.service import write_service
from fedcross.federate.kits.templates import readme_text
from fedcross.runtime.files.atomic import atomic_folder, write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PROJECT, README = "project.yml", "README.txt"
AUTHORITY, ADMIN, SERVER, SITES = "authority", "admin", "server", "sites"
COORDINATORS = "coordinators"
STARTUP = "startup"  # folder of a kit with its certificate and key
DOMAIN = "fedcross.org"  # FLARE requires an e-mail address for a coordinator; nothing is sent to it
ADMIN_NAME = f"{ADMIN}@{DOMAIN}"
ORGANISATION = "fedcross"
LISTEN_PORT = "listen_port"  # of the server in project.yml, for this package; FLARE ignores it
AUTHORITY_DAYS = 3600  # FLARE's certificates of participants are valid for 360 days
SITE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
HOST_PATTERN = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
BUILDERS = ("workspace.WorkspaceBuilder", "static_file.StaticFileBuilder", "cert.CertBuilder")


@dataclass(frozen=True)
class Federation:
    """A federation and its participants.

    Attributes
    ----------
    name
        Name of the federation.
    sites
        The hospitals' names, as in the training configuration.
    server
        Host name or address under which every hospital reaches the server.
    port
        TCP port under which every hospital reaches the server; no other port must be open.
    listen_port
        TCP port at which the server listens, if a proxy passes `port` on to it; None for `port`.
    coordinators
        Names of the coordinators besides the first one, who has the kit ``admin``.
    """

    name: str
    sites: Sequence[str]
    server: str
    port: int
    listen_port: int | None = None
    coordinators: Sequence[str] = ()

    @property
    def server_port(self) -> int:
        """TCP port at which the server listens."""
        return self.port if self.listen_port is None else self.listen_port

    def check(self) -> None:
        """Raise ConfigError if a name, the port or the list of sites cannot be used."""
        for field, value, pattern in (
            ("name", self.name, SITE_PATTERN),
            ("server", self.server, HOST_PATTERN),
            *(("site", site, SITE_PATTERN) for site in self.sites),
            *(("coordinator", each, SITE_PATTERN) for each in self.coordinators),
        ):
            if not pattern.fullmatch(value):
                raise ConfigError(
                    f"The {field} must consist of letters, digits, hyphens"
                    f"{' and dots' if field == 'server' else ' and underscores'}, "
                    f"at most 63 of them, got {value[:80]!r}."
                )
        if re.fullmatch(r"[0-9.]+", self.server) and not _is_address(self.server):
            raise ConfigError(f"The server's address {self.server} is no IPv4 address.")
        if len(set(self.sites)) != len(self.sites) or not self.sites:
            raise ConfigError(
                "A federation needs at least one site, and sites of different names, got "
                f"{', '.join(self.sites) or 'none'}."
            )
        known: dict[str, str] = {}
        for name in (*self.sites, *self.coordinators):
            other = known.setdefault(name.casefold(), name)
            if other != name:
                raise ConfigError(
                    f"The names {other} and {name} differ only in upper and lower case; their kits "
                    "would be one folder on Windows and macOS. Choose another name for one of them."
                )
        if reserved := {SERVER, ADMIN, *self.coordinators} & set(self.sites):
            raise ConfigError(f"A site cannot have the name {reserved.pop()}; choose another.")
        taken = (SERVER, ADMIN, *self.coordinators)
        if len(set(taken)) != len(taken):
            raise ConfigError(f"The name {taken[-1]} is taken; choose another for the coordinator.")
        if self.server in self.sites:
            raise ConfigError(f"A site cannot have the name of the server, {self.server}.")
        for port in (self.port, self.server_port):
            if not 1 <= port <= 65535:
                raise ConfigError(f"The port must lie between 1 and 65535, got {port}.")

    def project(self) -> dict[str, Any]:
        """The project description for FLARE's provisioning."""
        listens = {} if self.listen_port is None else {LISTEN_PORT: self.listen_port}
        participants: list[dict[str, Any]] = [
            {"name": self.server, "type": "server", "fed_learn_port": self.port, **listens},
            *(
                {"name": name, "type": "client", "allow_log_streaming": False}
                for name in self.sites
            ),
            *(
                {"name": f"{name}@{DOMAIN}", "type": "admin", "role": "project_admin"}
                for name in (ADMIN, *self.coordinators)
            ),
        ]
        builders = [{"path": f"nvflare.lighter.impl.{name}", "args": {}} for name in BUILDERS]
        # FLARE's TCP driver is faster, but one silent connection blocks all other connections.
        builders[1]["args"] = {"config_folder": "config", "scheme": "grpc"}
        builders[2]["args"] = {"root_valid_days": AUTHORITY_DAYS}
        return {
            "api_version": 3,
            "name": self.name,
            "description": "FedCross federation",
            "participants": [{**each, "org": ORGANISATION} for each in participants],
            "builders": builders,
        }


def init_federation(
    folder: Path,
    federation: Federation,
    public_keys: Mapping[str, "RSAPublicKey"] = MappingProxyType({}),
) -> None:
    """Make a folder with all kits; after an error there is no folder.

    Parameters
    ----------
    folder
        Must not exist: new kits would belong to a new certificate authority, and the kits that were
        handed out would not work with them.
    federation
        The participants.
    public_keys
        Public keys of the sites that made their private key themselves, by name; their kits contain no
        private key.

    Raises
    ------
    ConfigError
        If the federation is not valid, a key is for no site of it, or the folder exists.
    OutputError
        If the folder cannot be written.
    """
    federation.check()
    if unknown := set(public_keys) - set(federation.sites):
        raise ConfigError(
            f"There is a request for {min(unknown)}, and the federation has "
            f"{', '.join(federation.sites)}."
        )
    if folder.exists():
        raise ConfigError(f"{folder} exists already. Kits are never replaced; choose a new folder.")
    with atomic_folder(folder, replace=False) as made:
        made.chmod(0o700)  # before the first private key is in it
        _write_kits(made, federation, public_keys)
        restrict_to_owner(made)


def _write_kits(
    made: Path, federation: Federation, public_keys: Mapping[str, "RSAPublicKey"]
) -> None:
    work = made / "work"
    work.mkdir()
    project = federation.project()
    kits, authority = make_kits(project, work, public_keys=public_keys)
    authority.rename(made / AUTHORITY)
    (kits / ADMIN_NAME).rename(made / ADMIN)
    configure_admin_kit(made / ADMIN, federation.sites)
    (kits / federation.server).rename(made / SERVER)
    configure_server_kit(made / SERVER, sites=len(federation.sites))
    set_listen_port(made / SERVER, federation.server, federation.server_port)
    write_service(made / SERVER / STARTUP, SERVER, federation.name, federation.server_port)
    (made / SITES).mkdir()
    for name in federation.sites:
        (kits / name).rename(made / SITES / name)
        configure_site_kit(made / SITES / name, name, federation.sites)
        write_service(made / SITES / name / STARTUP, name, federation.name)
    shutil.rmtree(work)
    # FLARE reads YAML; JSON is valid YAML.
    (made / PROJECT).write_text(json.dumps(project, indent=2) + "\n", encoding="utf-8")
    write_readme(made, federation)


def write_readme(folder: Path, federation: Federation) -> None:
    """Write ``README.txt`` of a folder with all kits."""
    _, first_end = read_ends(folder / AUTHORITY)
    text = readme_text(
        federation.name,
        federation.server,
        federation.port,
        federation.sites,
        federation.coordinators,
        first_end,
    )
    write_atomically(folder / README, text.encode("utf-8"))


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
