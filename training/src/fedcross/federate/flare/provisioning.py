"""Startup kits by NVIDIA FLARE's own provisioning: certificates, keys, connection settings."""

import contextlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.lighter.constants import CtxKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedcross.errors import ConfigError

STATE = "state"  # FLARE's folder of the certificate authority


class _ErrorLog:
    """A logger for FLARE that prints nothing and collects warnings and errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Discard a message."""

    info = debug

    def warning(self, message: str) -> None:
        """Store a message in `errors`."""
        self.errors.append(message)

    error = warning


def make_kits(
    project: Mapping[str, Any], folder: Path, authority: Path | None = None
) -> tuple[Path, Path]:
    """Make a kit for every participant of a FLARE project.

    Parameters
    ----------
    project
        A FLARE project (api_version 3).
    folder
        An existing folder; all files are made in it.
    authority
        Folder of an existing certificate authority; it is copied, not changed. Participants that it
        knows get the certificate and the key that they have. None makes a new authority.

    Returns
    -------
    tuple of Path
        Folder with one kit folder for each participant, by its name, and folder of the certificate
        authority.

    Raises
    ------
    ConfigError
        If FLARE refuses the project.
    """
    log = _ErrorLog()
    copy = json.loads(json.dumps(project))  # FLARE changes the entries while it reads them
    state = folder / str(project["name"]) / STATE
    if authority is not None:
        shutil.copytree(authority, state)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # FLARE prints tracebacks
            context = Provisioner(str(folder), prepare_builders(copy)).provision(
                prepare_project(copy), logger=log
            )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {error}.") from error
    if context.get(CtxKey.BUILD_ERROR):
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {' '.join(log.errors)}")
    return Path(context[CtxKey.CURRENT_PROD_DIR]), state
