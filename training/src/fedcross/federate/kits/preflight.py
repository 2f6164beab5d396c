"""Checks before a kit is used, so that a wrong kit ends a command with one sentence."""

import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fedcross.errors import ConfigError
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.kits.finding import Finding
from fedcross.federate.kits.kit_checks import check_certificate, check_key, check_policy
from fedcross.federate.kits.roster import check_site_names
from fedcross.federate.kits.settings_checks import check_device
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.federate.supervise.server_connection import UnreachableError
from fedcross.training.config.configuration import TrainingConfig

Log = Callable[[str], None]


def open_coordinator_kit(
    path: Path, log: Log, config: TrainingConfig | None = None, *, waits: bool = False
) -> Kit:
    """Open the coordinator's kit, check it, and connect to the server once.

    Parameters
    ----------
    path
        Folder of the kit.
    log
        Receives a sentence if the kit expires soon, or if the server is waited for.
    config
        The configuration whose sites must have kits in this federation; None checks no names.
    waits
        Whether the command waits for a server that does not answer yet.

    Raises
    ------
    ConfigError
        If the kit cannot be used, or a site of the configuration has no kit.
    UntrustedError
        If the kit and the server do not accept each other's certificates.
    UnreachableError
        If the server does not answer and `waits` is false.
    """
    kit = open_kit(path, "admin")
    _require((check_key(kit), check_certificate(kit, datetime.now(UTC))), log)
    if config is not None:
        check_site_names(kit, config)
    try:
        check_connection(kit)
    except UnreachableError as error:
        if not waits:
            raise
        log(f"{error} Waiting for it.")
    return kit


def check_start(kit: Kit, log: Log) -> None:
    """Check the kit of the server or a hospital before its process starts.

    Parameters
    ----------
    kit
        The kit.
    log
        Receives warnings, each a sentence.

    Raises
    ------
    ConfigError
        If the kit, the hospital's settings or its privacy policy cannot be used, or the server's port is
        taken.
    UntrustedError
        If a hospital's kit and the server do not accept each other's certificates.
    """
    _require((check_key(kit), check_certificate(kit, datetime.now(UTC))), log)
    if kit.kind == "server":
        _check_port(kit)
        return
    check_policy(kit)
    settings = load_site_settings(kit.path)
    if not settings.data.is_dir():
        raise ConfigError(f"local/site.toml: the folder data does not exist, got {settings.data}.")
    _require((check_device(settings),), log, tells_warnings=False)
    try:
        check_connection(kit)
    except UnreachableError as error:
        log(f"{error} The hospital connects as soon as the server answers.")


def _require(findings: tuple[Finding, ...], log: Log, *, tells_warnings: bool = True) -> None:
    """Raise ConfigError for the first wrong finding; tell the warnings."""
    for finding in findings:
        if finding.verdict == "wrong":
            raise ConfigError(finding.message)
        if finding.verdict == "warning" and tells_warnings:
            log(f"WARNING: {finding.message}")


def _check_port(kit: Kit) -> None:
    try:
        socket.create_server(("", kit.port)).close()
    except OSError as error:
        raise ConfigError(
            f"TCP port {kit.port} of this machine cannot be opened: {error.strerror}.",
            "Another process may use it: does the server run already?",
        ) from error
