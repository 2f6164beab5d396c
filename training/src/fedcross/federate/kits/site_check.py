"""Is a hospital ready? One look at everything that would stop a visit, in words for an IT department."""

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fedcross.errors import DataError, DeviceError, FedCrossError
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.kits.site_settings import SiteSettings, load_site_settings
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.versions import package_versions
from fedcross.training.config.configuration import TrainingConfig, config_sha256

Verdict = Literal["good", "look", "wrong"]

LOW_DISK_GB = 10.0
EXPIRES_SOON_DAYS = 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: good, worth a look, or wrong, and a sentence about it."""

    what: str
    verdict: Verdict
    sentence: str


def check_site(
    kit: Kit, config: TrainingConfig | None, reporter: Reporter, now: datetime
) -> Iterator[Finding]:
    """Look at everything, one after another, the quick things first.

    Parameters
    ----------
    kit
        The hospital's.
    config
        The federation's configuration, to check the hospital's cases with; None leaves them out.
    reporter
        Hears of every case that is read.
    now
        The time, with its zone.
    """
    yield check_key(kit)
    yield check_certificate(kit, now)
    yield versions()
    yield from _caught("Privacy policy", lambda: check_policy(kit))
    yield from _caught("Connection", lambda: check_connection(kit))
    try:
        settings = load_site_settings(kit.path)
    except FedCrossError as error:
        yield Finding("Settings", "wrong", str(error))
        return
    yield check_device(settings)
    yield from check_disk(kit, settings)
    yield check_folder(settings)
    if config is None:
        return
    yield check_configuration(settings, config)
    if settings.data.is_dir():
        yield from check_cases(kit, settings, config, reporter)


def check_key(kit: Kit) -> Finding:
    """The private key: there, and for its owner's eyes only."""
    try:
        mode = stat.S_IMODE(kit.key.stat().st_mode)
    except OSError as error:
        return Finding("Private key", "wrong", f"{kit.key.name} is not there: {error.strerror}.")
    if sys.platform != "win32" and mode & 0o077:
        return Finding(
            "Private key",
            "wrong",
            f"Others on this machine can read startup/{kit.key.name}; "
            f"make it private: chmod 600 {kit.key.name}",
        )
    return Finding("Private key", "good", "Only its owner can read it.")


def check_certificate(kit: Kit, now: datetime) -> Finding:
    """The kit's certificate: valid now, by this machine's clock."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(kit.certificate.read_bytes())
    except (OSError, ValueError):
        return Finding("Certificate", "wrong", f"startup/{kit.certificate.name} cannot be read.")
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        return Finding(
            "Certificate",
            "wrong",
            f"It is valid from {begins:%d %B %Y %H:%M} UTC, but this machine's clock says "
            f"{now:%d %B %Y %H:%M} UTC: set the clock.",
        )
    days = (ends - now).days
    if now > ends:
        sentence = f"It ended on {ends:%d %B %Y}: ask the coordinator for a new kit."
        return Finding("Certificate", "wrong", sentence)
    verdict: Verdict = "look" if days < EXPIRES_SOON_DAYS else "good"
    return Finding("Certificate", verdict, f"Valid until {ends:%d %B %Y}, {days} days from now.")


def versions() -> Finding:
    """What is installed; all hospitals and the server should have the same."""
    from importlib.metadata import version

    from fedcross.federate.remote.site_work import DECIDING

    found = {**package_versions(), "nvflare": version("nvflare")}
    told = ", ".join(f"{name} {number}" for name, number in found.items())
    deciding = " or ".join(DECIDING)
    return Finding(
        "Versions", "good", f"{told}; the server refuses a site whose {deciding} differs."
    )


def check_policy(kit: Kit) -> str:
    """What the hospital's own privacy policy does with what leaves.

    Raises
    ------
    ConfigError
        If it cannot be used.
    """
    from fedcross.federate.flare.filters import POLICY, policy_filters

    names = policy_filters(kit.path)
    if not names:
        return (
            f"Members leave as the configuration says; filters of its own go into local/{POLICY}."
        )
    return f"Members leave through the filters of local/{POLICY}: {', '.join(names)}."


def check_device(settings: SiteSettings) -> Finding:
    """What the training runs on."""
    import torch

    from fedcross.infer.devices import describe
    from fedcross.runtime.device import resolve_device

    try:
        device = resolve_device(settings.device)
    except DeviceError as error:
        return Finding("Processor", "wrong", f"local/site.toml asks for {settings.device}: {error}")
    status = str(describe(torch).status)
    if device.type == "cpu":
        return Finding("Processor", "look", f"{status} Training on a CPU takes very long.")
    return Finding("Processor", "good", status)


def check_disk(kit: Kit, settings: SiteSettings) -> Iterator[Finding]:
    """Space for logs, models under way and the cache."""
    places = {"the kit": kit.path}
    if settings.cache is not None:
        places["the cache"] = settings.cache
    for name, path in places.items():
        there = next(each for each in (path, *path.parents) if each.exists())
        free = shutil.disk_usage(there).free / 1e9
        verdict: Verdict = "look" if free < LOW_DISK_GB else "good"
        yield Finding("Disk", verdict, f"{free:.0f} GB are free where {name} lies.")


def check_folder(settings: SiteSettings) -> Finding:
    """The folder of the data."""
    if not settings.data.is_dir():
        return Finding("Data", "wrong", "The folder named data in local/site.toml is not there.")
    try:
        next(settings.data.iterdir(), None)
    except OSError as error:
        return Finding("Data", "wrong", f"The data folder cannot be read: {error.strerror}.")
    return Finding("Data", "good", "The data folder is there and can be read.")


def check_cases(
    kit: Kit, settings: SiteSettings, config: TrainingConfig, reporter: Reporter
) -> Iterator[Finding]:
    """Read every case of this hospital, as ``fedcross data check`` does."""
    from fedcross.training.data.check.federation import check_data

    mine = [site for site in config.sites if site.name == kit.name]
    if not mine:
        names = ", ".join(site.name for site in config.sites)
        yield Finding(
            "Cases", "wrong", f"The configuration has no site {kit.name}; it has {names}."
        )
        return
    here = config.model_copy(update={"sites": (mine[0],), "data_root": settings.data})
    try:
        report = check_data(here, reporter)
    except DataError as error:
        yield Finding("Cases", "wrong", str(error))
        return
    yield from (Finding("Cases", "look", remark) for remark in report.remarks())
    problems = report.problems()
    yield from (Finding("Cases", "wrong", problem) for problem in problems)
    if not problems:
        cases = len(report.sites[0].cases)
        yield Finding("Cases", "good", f"All {cases} cases can be used.")


def check_configuration(settings: SiteSettings, config: TrainingConfig) -> Finding:
    """Whether the configuration is the one that this hospital agreed to."""
    sha256 = config_sha256(config)
    if settings.configuration is None:
        sentence = f"Its SHA-256 is {sha256}; to allow no other, name it in local/site.toml."
        return Finding("Configuration", "look", sentence)
    if settings.configuration != sha256:
        return Finding(
            "Configuration",
            "wrong",
            f"This hospital agreed to {settings.configuration}, but that of this file is {sha256}.",
        )
    return Finding("Configuration", "good", "It is the one that this hospital agreed to.")


def _caught(what: str, check: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(what, "good", check())
    except FedCrossError as error:
        yield Finding(what, "wrong", str(error))
