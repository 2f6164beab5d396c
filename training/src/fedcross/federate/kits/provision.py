"""A federation's startup kits: who takes part, and one folder for each of them.

::

    README.txt       which folder goes to whom, and how
    project.yml      the FLARE project that the kits were made from
    authority/       the certificate authority; stays where it is
    admin/           the coordinator's kit, for submit, status, fetch and abort
    server/          the server's kit
    sites/<name>/    a hospital's kit; local/site.toml is the hospital's own
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.errors import ConfigError
from fedcross.federate.flare.provisioning import make_kits
from fedcross.federate.kits.contents import (
    close_to_others,
    settle_admin,
    settle_server,
    settle_site,
)
from fedcross.federate.kits.text import handing_out
from fedcross.runtime.files.atomic import atomic_folder

PROJECT, README = "project.yml", "README.txt"
AUTHORITY, ADMIN, SERVER, SITES = "authority", "admin", "server", "sites"
ADMIN_NAME = "admin@fedcross.org"  # FLARE wants the form of an address; nothing is sent to it
ORGANISATION = "fedcross"
SITE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
HOST_PATTERN = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
BUILDERS = ("workspace.WorkspaceBuilder", "static_file.StaticFileBuilder", "cert.CertBuilder")


@dataclass(frozen=True)
class Federation:
    """Who takes part.

    Attributes
    ----------
    name
        Of the federation.
    sites
        The hospitals' names, as the training configuration names them.
    server
        Host name or address under which every hospital reaches the server.
    port
        Of the server, the only one that must be open.
    """

    name: str
    sites: Sequence[str]
    server: str
    port: int

    def check(self) -> None:
        """Raise ConfigError, one sentence, unless all of it can be used."""
        for kind, value, pattern in (
            ("name", self.name, SITE_PATTERN),
            ("server", self.server, HOST_PATTERN),
            *(("site", site, SITE_PATTERN) for site in self.sites),
        ):
            if not pattern.fullmatch(value):
                raise ConfigError(
                    f"The {kind} must be letters, digits, hyphens"
                    f"{' and dots' if kind == 'server' else ' and underscores'}, "
                    f"at most 63 of them, got {value!r}."
                )
        if len(set(self.sites)) != len(self.sites) or not self.sites:
            raise ConfigError(
                f"A federation needs sites of different names, got {', '.join(self.sites) or 'none'}."
            )
        if self.server in self.sites:
            raise ConfigError(f"A site cannot be called as the server, {self.server}.")
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"The port must lie between 1 and 65535, got {self.port}.")

    def project(self) -> dict[str, Any]:
        """The FLARE project."""
        everybody: list[dict[str, Any]] = [
            {"name": self.server, "type": "server", "fed_learn_port": self.port},
            *(
                {"name": name, "type": "client", "allow_log_streaming": False}
                for name in self.sites
            ),
            {"name": ADMIN_NAME, "type": "admin", "role": "project_admin"},
        ]
        builders = [{"path": f"nvflare.lighter.impl.{name}", "args": {}} for name in BUILDERS]
        # FLARE's TCP driver is faster, but one silent connection keeps everybody else from connecting.
        builders[1]["args"] = {"config_folder": "config", "scheme": "grpc"}
        return {
            "api_version": 3,
            "name": self.name,
            "description": "FedCross federation",
            "participants": [{**each, "org": ORGANISATION} for each in everybody],
            "builders": builders,
        }


def init_federation(folder: Path, federation: Federation) -> None:
    """Make the folder with all kits; it appears whole or not at all.

    Raises
    ------
    ConfigError
        If the federation cannot be, or the folder is there already: new kits would belong to a new
        authority, and the old ones would no longer fit.
    OutputError
        If it cannot be written.
    """
    federation.check()
    if folder.exists():
        raise ConfigError(f"{folder} exists already; kits are never replaced, choose a new folder.")
    with atomic_folder(folder, replace=False) as made:
        made.chmod(0o700)  # before the first private key is in it
        _fill(made, federation)
        close_to_others(made)


def _fill(made: Path, federation: Federation) -> None:
    work = made / "work"
    work.mkdir()
    project = federation.project()
    kits, authority = make_kits(project, work)
    authority.rename(made / AUTHORITY)
    (kits / ADMIN_NAME).rename(made / ADMIN)
    settle_admin(made / ADMIN)
    (kits / federation.server).rename(made / SERVER)
    settle_server(made / SERVER, clients=len(federation.sites))
    (made / SITES).mkdir()
    for name in federation.sites:
        (kits / name).rename(made / SITES / name)
        settle_site(made / SITES / name, name, federation.sites)
    shutil.rmtree(work)
    # JSON is YAML too.
    (made / PROJECT).write_text(json.dumps(project, indent=2) + "\n", encoding="utf-8")
    (made / README).write_text(
        handing_out(federation.name, federation.server, federation.port, federation.sites),
        encoding="utf-8",
    )
