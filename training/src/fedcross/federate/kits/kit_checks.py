"""Checks of a hospital's startup kit and of the installed packages."""

import stat
import sys
from datetime import datetime

from fedcross.errors import ConfigError
from fedcross.federate.kits.certificates import DAY, MINUTE, read_validity
from fedcross.federate.kits.finding import Finding
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.versions import package_versions


def check_key(kit: Kit) -> Finding:
    """Whether the private key exists and only its owner can read it."""
    try:
        mode = stat.S_IMODE(kit.key.stat().st_mode)
    except OSError as error:
        message = f"startup/{kit.key.name} cannot be read: {error.strerror}."
        if kit.kind == "site" and isinstance(error, FileNotFoundError):
            message = (
                f"startup/{kit.key.name} is missing; if this hospital made its key itself, join them: "
                f"fedcross site accept {kit.path.name} --key FILE."
            )
        return Finding("Private key", "wrong", message)
    if sys.platform != "win32" and mode & 0o077:
        return Finding(
            "Private key",
            "wrong",
            f"Other users of this machine can read startup/{kit.key.name}; "
            f"make it private: chmod 600 {kit.key.name}",
        )
    return Finding("Private key", "good", "Only its owner can read it.")


def check_certificate(kit: Kit, now: datetime) -> Finding:
    """Whether the kit's certificates are valid at the time `now`; a warning in the last 60 days."""
    try:
        validity = read_validity(kit)
    except ConfigError as error:
        return Finding("Certificate", "wrong", str(error))
    if now < validity.begins:
        return Finding(
            "Certificate",
            "wrong",
            f"This kit is valid from {validity.begins:{MINUTE}}, but this machine's clock shows "
            f"{now:{MINUTE}}: set the clock.",
        )
    if now > validity.ends:
        message = f"This kit expired on {validity.ends:{DAY}}: {_remedy(kit)}"
        return Finding("Certificate", "wrong", message)
    message = (
        f"This kit is valid until {validity.ends:{DAY}}, {validity.days_left(now)} days from now"
    )
    if validity.ends_soon(now):
        return Finding("Certificate", "warning", f"{message}: {_remedy(kit)}")
    return Finding("Certificate", "good", f"{message}.")


def _remedy(kit: Kit) -> str:
    if kit.kind == "admin":
        return "renew it with fedcross federation renew."
    return "ask the coordinator to renew it with fedcross federation renew."


def report_versions() -> Finding:
    """The versions of the installed packages; always good, because the server compares them."""
    from importlib.metadata import version

    from fedcross.federate.remote.site_work import SAME_VERSION_PACKAGES

    packages = {**package_versions(), "nvflare": version("nvflare")}
    installed = ", ".join(f"{name} {number}" for name, number in packages.items())
    compared = " and ".join(SAME_VERSION_PACKAGES)
    return Finding(
        "Versions", "good", f"{installed}. The server must have the same versions of {compared}."
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
