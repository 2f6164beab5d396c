"""Checks whether a hospital's machine can take part; the messages are for its IT department."""

from collections.abc import Callable, Iterator
from datetime import datetime

from fedcross.errors import FedCrossError
from fedcross.federate.kits.connection import check_connection
from fedcross.federate.kits.finding import Finding
from fedcross.federate.kits.kit_checks import (
    check_certificate,
    check_key,
    check_policy,
    report_versions,
)
from fedcross.federate.kits.settings_checks import (
    check_cases,
    check_configuration,
    check_device,
    check_disk,
    check_folder,
    check_plugins,
)
from fedcross.federate.kits.site_settings import load_site_settings
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig


def check_site(
    kit: Kit, config: TrainingConfig | None, reporter: Reporter, now: datetime
) -> Iterator[Finding]:
    """Run all checks and yield their findings, quick checks first.

    Parameters
    ----------
    kit
        The hospital's startup kit.
    config
        The federation's configuration. None leaves out the checks of configuration and cases.
    reporter
        Receives the progress of reading the cases.
    now
        The current time, with a time zone.
    """
    yield check_key(kit)
    yield check_certificate(kit, now)
    yield report_versions()
    yield from _as_finding("Privacy policy", lambda: check_policy(kit))
    yield from _as_finding("Connection", lambda: check_connection(kit))
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
    yield check_configuration(kit.path, settings, config)
    yield from check_plugins(settings, config)
    if settings.data.is_dir():
        yield from check_cases(kit, settings, config, reporter)


def _as_finding(topic: str, check: Callable[[], str]) -> Iterator[Finding]:
    """A good finding with the sentence that `check` returns, or a wrong one with its error."""
    try:
        yield Finding(topic, "good", check())
    except FedCrossError as error:
        yield Finding(topic, "wrong", str(error))
