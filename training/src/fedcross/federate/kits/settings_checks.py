"""Checks of a hospital's ``local/site.toml``: device, disks, data, packages, configuration."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from fedcross.errors import DataError, DeviceError, OutputError
from fedcross.federate.kits.approvals import PENDING, REJECTED, ApprovalError, require_approval
from fedcross.federate.kits.finding import Finding, Verdict
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.plugins import NOT_ALLOWED, NOT_INSTALLED, allow_plugins
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.config.custom_parts import plugin_versions

LOW_DISK_GB = 10.0


def check_device(settings: SiteSettings) -> Finding:
    """Whether the device in the settings exists; a warning for a CPU."""
    import torch

    from fedcross.infer.devices import describe
    from fedcross.runtime.device import resolve_device

    try:
        device = resolve_device(settings.device)
    except DeviceError as error:
        return Finding("Processor", "wrong", f"local/site.toml has {settings.device}: {error}")
    status = str(describe(torch).status)
    if device.type == "cpu":
        return Finding("Processor", "warning", f"{status} Training on a CPU takes very long.")
    return Finding("Processor", "good", status)


def check_disk(kit: Kit, settings: SiteSettings) -> Iterator[Finding]:
    """The free space on the disks of the kit and of the cache; a warning below 10 GB."""
    places = {"the kit": kit.path}
    if settings.cache is not None:
        places["the cache"] = settings.cache
    for name, path in places.items():
        existing = next(each for each in (path, *path.parents) if each.exists())
        free_gb = shutil.disk_usage(existing).free / 1e9
        verdict: Verdict = "warning" if free_gb < LOW_DISK_GB else "good"
        yield Finding("Disk", verdict, f"{free_gb:.0f} GB are free on the disk of {name}.")


def check_folder(settings: SiteSettings) -> Finding:
    """Whether the data folder exists and can be read."""
    if not settings.data.is_dir():
        return Finding("Data", "wrong", "The folder data in local/site.toml does not exist.")
    try:
        next(settings.data.iterdir(), None)
    except OSError as error:
        return Finding("Data", "wrong", f"The data folder cannot be read: {error.strerror}.")
    return Finding("Data", "good", "The data folder exists and can be read.")


def check_cases(
    kit: Kit, settings: SiteSettings, config: TrainingConfig, reporter: Reporter
) -> Iterator[Finding]:
    """Read every case of this hospital; the findings are those of ``fedcross data check``."""
    from fedcross.training.data.check.federation import check_data

    own = [site for site in config.sites if site.name == kit.name]
    if not own:
        names = ", ".join(site.name for site in config.sites)
        yield Finding(
            "Cases", "wrong", f"The configuration has no site {kit.name}; it has {names}."
        )
        return
    own_config = config.model_copy(update={"sites": (own[0],), "data_root": settings.data})
    reporter.stage("check", "Reading every case")
    try:
        report = check_data(own_config, reporter)
    except DataError as error:
        yield Finding("Cases", "wrong", str(error))
        return
    yield from (Finding("Cases", "warning", remark) for remark in report.remarks())
    problems = report.problems()
    yield from (Finding("Cases", "wrong", problem) for problem in problems)
    if not problems:
        cases = len(report.sites[0].cases)
        yield Finding("Cases", "good", f"All {cases} cases can be used.")


def check_plugins(settings: SiteSettings, config: TrainingConfig) -> Iterator[Finding]:
    """Whether the hospital has and allows the packages of the configuration; nothing without any."""
    allow_plugins(*settings.plugins)
    for package, found in plugin_versions(config).items():
        if found == NOT_INSTALLED:
            message = (
                f"The configuration uses code of the package {package}, which is not installed."
            )
            yield Finding("Packages", "wrong", message)
        elif found == NOT_ALLOWED:
            message = (
                f"The configuration uses code of the package {package}. If you trust it, add it to "
                "plugins in local/site.toml."
            )
            yield Finding("Packages", "wrong", message)
        else:
            message = f"The package {package} {found} is installed, and this hospital allows it."
            yield Finding("Packages", "good", message)


def check_configuration(kit: Path, settings: SiteSettings, config: TrainingConfig) -> Finding:
    """Whether the hospital agreed to this configuration; a note if it accepts every one."""
    sha256 = config_sha256(config)
    if settings.requires_approval and settings.configuration is None:
        return _check_approval(kit, settings, sha256)
    if settings.configuration is None:
        message = (
            "This hospital accepts every configuration that the coordinator submits. To accept this one "
            f'only, add this line to local/site.toml: configuration = "{sha256}"'
        )
        return Finding("Configuration", "note", message)
    if settings.configuration != sha256:
        return Finding(
            "Configuration",
            "wrong",
            f"This hospital agreed to the SHA-256 {settings.configuration}, but this file has {sha256}.",
        )
    return Finding("Configuration", "good", "This hospital agreed to this configuration.")


def _check_approval(kit: Path, settings: SiteSettings, sha256: str) -> Finding:
    try:
        require_approval(kit, settings, sha256)
    except ApprovalError as error:
        verdict: Verdict = "wrong" if error.reason == REJECTED else "warning"
        message = f"{error} Its SHA-256 is {sha256}."
        if error.reason == PENDING:
            message += " fedcross site approvals lists it as soon as the coordinator submits it."
        return Finding("Configuration", verdict, message)
    except OutputError as error:
        return Finding("Configuration", "wrong", str(error))
    return Finding("Configuration", "good", "This hospital approved this configuration.")
