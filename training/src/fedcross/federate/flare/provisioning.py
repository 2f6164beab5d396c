"""Startup kits, made by NVIDIA FLARE's own provisioning: certificates, keys, connection settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvflare.lighter.constants import CtxKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedcross.errors import ConfigError

STATE = "state"  # holds the certificate authority


class _Quiet:
    """Keeps what FLARE reports, for the error message."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def debug(self, message: str) -> None:
        """Ignore it."""

    info = debug

    def warning(self, message: str) -> None:
        """Keep it."""
        self.errors.append(message)

    error = warning


def make_kits(project: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Make a kit for every participant of a FLARE project.

    Parameters
    ----------
    project
        A FLARE project (api_version 3).
    folder
        An existing folder to work in.

    Returns
    -------
    tuple
        Folder of the kits, one by participant's name, and folder of the certificate authority.

    Raises
    ------
    ConfigError
        If FLARE refuses the project.
    """
    told = _Quiet()
    described = json.loads(json.dumps(project))  # FLARE takes the entries apart while it reads
    try:
        context = Provisioner(str(folder), prepare_builders(described)).provision(
            prepare_project(described), logger=told
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {error}.") from error
    if context.get(CtxKey.BUILD_ERROR):
        raise ConfigError(f"NVIDIA FLARE refuses the federation: {' '.join(told.errors)}")
    return Path(context[CtxKey.CURRENT_PROD_DIR]), folder / str(project["name"]) / STATE
