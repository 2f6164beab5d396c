"""Checks of a hospital's startup kit and of the installed packages."""

import stat
import sys
from datetime import datetime

from fedcross.federate.kits.finding import Finding, Verdict
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.versions import package_versions

EXPIRES_SOON_DAYS = 30


def check_key(kit: Kit) -> Finding:
    """Whether the private key exists and only its owner can read it."""
    try:
        mode = stat.S_IMODE(kit.key.stat().st_mode)
    except OSError as error:
        return Finding("Private key", "wrong", f"{kit.key.name} is missing: {error.strerror}.")
    if sys.platform != "win32" and mode & 0o077:
        return Finding(
            "Private key",
            "wrong",
            f"Other users of this machine can read startup/{kit.key.name}; "
            f"make it private: chmod 600 {kit.key.name}",
        )
    return Finding("Private key", "good", "Only its owner can read it.")


def check_certificate(kit: Kit, now: datetime) -> Finding:
    """Whether the kit's certificate is valid at the time `now`; a warning in its last 30 days."""
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
            f"It is valid from {begins:%d %B %Y %H:%M} UTC, but this machine's clock shows "
            f"{now:%d %B %Y %H:%M} UTC: set the clock.",
        )
    days = (ends - now).days
    if now > ends:
        message = f"It expired on {ends:%d %B %Y}: ask the coordinator for a new kit."
        return Finding("Certificate", "wrong", message)
    verdict: Verdict = "warning" if days < EXPIRES_SOON_DAYS else "good"
    return Finding("Certificate", verdict, f"Valid until {ends:%d %B %Y}, {days} days from now.")


def report_versions() -> Finding:
    """The versions of the installed packages; always good, because the server compares them."""
    from importlib.metadata import version

    from fedcross.federate.remote.site_work import SAME_VERSION_PACKAGES

    packages = {**package_versions(), "nvflare": version("nvflare")}
    installed = ", ".join(f"{name} {number}" for name, number in packages.items())
    compared = " and ".join(SAME_VERSION_PACKAGES)
    return Finding(
        "Versions", "good", f"{installed}. The server requires its own versions of {compared}."
    )


def check_policy(kit: Kit) -> str:
    """Name the filters that the hospital's own privacy policy applies to its members.

    Raises
    ------
    ConfigError
        If the policy cannot be used.
    """
    from fedcross.federate.flare.filters import POLICY, policy_filters

    names = policy_filters(kit.path)
    if not names:
        return (
            "Only the configuration's filters apply; this hospital can add its own in "
            f"local/{POLICY}."
        )
    return f"Members are sent through the filters in local/{POLICY}: {', '.join(names)}."
