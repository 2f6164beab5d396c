"""The sites' setups at the start of a job: who can take part, and whether all have the same versions."""

from collections.abc import Callable, Mapping
from typing import Protocol

from fedcross.errors import ConfigError, FedCrossError
from fedcross.federate.kits.approvals import PENDING, REJECTED
from fedcross.federate.remote.site_work import describe_setup
from fedcross.training.config.configuration import TrainingConfig, config_sha256

Setup = Mapping[str, str]
FAILED = "failed"


class FetchSetups(Protocol):
    """Asks the sites for their setups."""

    def fetch_setups(self) -> Mapping[str, Setup]:
        """Setup of every connected site by the site's name, see `describe_setup`.

        A site that cannot take part has ``{"failed": type of the error}`` instead.
        """


class TooFewSitesError(FedCrossError):
    """Fewer sites are connected than the run needs; a later job may find more."""


def check_setups(config: TrainingConfig, sites: FetchSetups, log: Callable[[str], None]) -> None:
    """Check that the sites that can take part have the server's versions and configuration.

    Parameters
    ----------
    config
        The configuration of the job.
    sites
        Connections to the sites.
    log
        Receives a line for every connected site that cannot take part.

    Raises
    ------
    ConfigError
        If a site differs, with both values; or if no site can take part.
    """
    able, unable = _fetch(config, sites, log)
    if unable and not able:
        raise ConfigError(" ".join(unable.values()))
    check_same_setup(describe_setup(config), able)


def check_enough_setups(
    config: TrainingConfig, sites: FetchSetups, min_sites: int, log: Callable[[str], None]
) -> None:
    """Check the setups as `check_setups` does, and that enough sites can take part.

    Parameters
    ----------
    config, sites, log
        See `check_setups`.
    min_sites
        Number of sites that must be able to take part.

    Raises
    ------
    ConfigError
        See `check_setups`; or if so many connected sites cannot take part that too few remain.
    TooFewSitesError
        If too few sites are connected.
    """
    able, unable = _fetch(config, sites, log)
    if able:
        check_same_setup(describe_setup(config), able)
    absent = [site.name for site in config.sites if site.name not in {**able, **unable}]
    if len(able) < min_sites <= len(able) + len(absent):
        numbers = describe_too_few(len(able), len(config.sites), min_sites)
        verb = "is" if len(absent) == 1 else "are"
        raise TooFewSitesError(f"{', '.join(absent)} {verb} not connected: {numbers}.")
    require_enough(len(able), config, min_sites, " ".join(unable.values()))


def require_enough(able: int, config: TrainingConfig, min_sites: int, reasons: str) -> None:
    """Raise ConfigError with `reasons` if fewer than `min_sites` sites are able to train."""
    if able < min_sites:
        numbers = describe_too_few(able, len(config.sites), min_sites)
        raise ConfigError(f"{reasons} Therefore {numbers}.")


def describe_too_few(present: int, sites: int, min_sites: int) -> str:
    """Say in words, without a full stop, that too few sites take part."""
    return f"{present} of {sites} sites can train, and the run needs {min_sites} (min_sites)"


def check_same_setup(own: Setup, others: Mapping[str, Setup]) -> None:
    """Check that all sites have the server's versions and configuration.

    Parameters
    ----------
    own
        The server's setup, see `site_work.describe_setup`.
    others
        The sites' setups by the sites' names.

    Raises
    ------
    ConfigError
        If sites differ: names each of them, with both values; or if `others` is empty.
    """
    if not others:
        raise ConfigError("No site of the configuration can take part.")
    differences = [
        f"Site {site} differs from the server in {what}: {setup.get(what, 'none')} there, {value} here."
        for site, setup in others.items()
        for what, value in own.items()
        if setup.get(what, "none") != value
    ]
    if differences:
        raise ConfigError(" ".join(differences), "Make both the same.")


def _fetch(
    config: TrainingConfig, sites: FetchSetups, log: Callable[[str], None]
) -> tuple[dict[str, Setup], dict[str, str]]:
    """Setups of the sites that can take part, and a sentence, also logged, for each of the others."""
    setups = sites.fetch_setups()
    able = {name: setup for name, setup in setups.items() if FAILED not in setup}
    unable = {
        name: _describe_failure(name, setup[FAILED], config)
        for name, setup in setups.items()
        if FAILED in setup
    }
    for sentence in unable.values():
        log(sentence)
    return able, unable


def _describe_failure(name: str, reason: str, config: TrainingConfig) -> str:
    """A sentence about a site that cannot take part."""
    if reason == PENDING:
        return (
            f"The approval of site {name} is pending: somebody there must approve the configuration "
            f"with the SHA-256 {config_sha256(config)}."
        )
    if reason == REJECTED:
        return (
            f"Site {name} has rejected the configuration with the SHA-256 {config_sha256(config)}."
        )
    return f"Site {name} cannot take part: {reason}; see the log at the site."
