"""Plugins: entry points of other installed packages, and the packages whose code may run here.

A package offers a network, a loss, an augmentation or an optimiser as an entry point of a group in
`GROUPS`. Its code is imported only if the person at this machine has allowed the package by its name: by
the environment variable `VARIABLE`, or by `allow_plugins`. What came from elsewhere (a bundle, a run
folder, a job of a federation) can name a package, but cannot allow it.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, Literal

from fedcross.errors import FedCrossError, PluginError

VARIABLE = "FEDCROSS_PLUGINS"
"""Environment variable with the allowed packages, separated by commas."""

Kind = Literal["network", "loss", "augmentation", "optimizer"]
GROUPS: dict[Kind, str] = {
    "network": "fedcross.networks",
    "loss": "fedcross.losses",
    "augmentation": "fedcross.augmentations",
    "optimizer": "fedcross.optimizers",
}
"""The group of entry points for each kind of plugin."""

NOT_INSTALLED, NOT_ALLOWED = "not installed", "not allowed"
LONGEST = 200
"""Characters of a foreign error's message that are shown."""

_allowed: set[str] = set()


def allow_plugins(*packages: str) -> None:
    """Allow this process to run code of installed packages that bundles or configurations name.

    Such code can do whatever this process can do. Allow a package only if you trust its authors.

    Parameters
    ----------
    packages
        Names of the packages as they are installed, such as ``fedcross-example``. They stay allowed
        until the process ends. A name that is not installed has no effect.
    """
    _allowed.update(map(_normalise, packages))


def allowed_plugins() -> list[str]:
    """Return the normalised names of all allowed packages, in alphabetical order."""
    named = os.environ.get(VARIABLE, "").split(",")
    return sorted(_allowed | {_normalise(name) for name in named if name.strip()})


def describe_plugin(package: str) -> str:
    """Return the version of an installed and allowed package, else `NOT_INSTALLED` or `NOT_ALLOWED`."""
    distribution = _find(package)
    if distribution is None:
        return NOT_INSTALLED
    return distribution.version if _normalise(package) in allowed_plugins() else NOT_ALLOWED


def require_plugin(
    kind: Kind, package: str, entry: str, version: str | None = None
) -> metadata.EntryPoint:
    """Find an entry point of an installed and allowed package; nothing is imported.

    Parameters
    ----------
    kind
        What the entry point makes.
    package
        Name of the package.
    entry
        Name of the entry point in its group.
    version
        The version that is needed; None for any.

    Raises
    ------
    PluginError
        If the package is not installed, not allowed, of another version, or has no such entry point.
    """
    wanted = package if version is None else f"{package} {version}"
    subject = f"The {kind} {entry!r} is code of the package {wanted}, which"
    distribution = _find(package)
    if distribution is None:
        raise PluginError(
            f"{subject} is not installed.", "Install the package only if you trust its source."
        )
    if _normalise(package) not in allowed_plugins():
        raise PluginError(
            f"{subject} you have not allowed.",
            f"If you trust it: --allow-plugin {package}, or {VARIABLE}={package} in the environment.",
        )
    if version not in (None, distribution.version):
        raise PluginError(
            f"{subject} is installed in the version {distribution.version}.",
            "Install the version that is named; another one may compute something else.",
        )
    offered = list(distribution.entry_points.select(group=GROUPS[kind]))
    for each in offered:
        if each.name == entry:
            return each
    names = ", ".join(repr(each.name) for each in offered) or "none"
    raise PluginError(f"The package {package} has no {kind} {entry!r}; it offers {names}.")


def load_plugin(
    kind: Kind, package: str, entry: str, version: str | None = None
) -> Callable[..., Any]:
    """Import what an entry point names; the parameters are those of `require_plugin`.

    Raises
    ------
    PluginError
        As `require_plugin`, or if the import fails or gives nothing that can be called.
    """
    found = require_plugin(kind, package, entry, version)
    subject = f"The {kind} {entry!r} of the package {package}"
    with explain_failure(subject):
        factory = found.load()
    if not callable(factory):
        raise PluginError(f"{subject} cannot be called, got {type(factory).__name__}.")
    return factory  # type: ignore[no-any-return]


@contextmanager
def explain_failure(subject: str, *passed: type[Exception]) -> Iterator[None]:
    """Raise a `PluginError` in place of what the code of a package raises.

    Parameters
    ----------
    subject
        Begin of the sentence, such as ``The loss 'x' of the package y``.
    passed
        Further errors that are not replaced, beside `FedCrossError` and `MemoryError`.
    """
    try:
        yield
    except Exception as error:  # code of another package may raise anything
        if isinstance(error, (FedCrossError, MemoryError, *passed)):
            raise
        first = next(iter(str(error).splitlines()), "")[:LONGEST].rstrip(".")
        reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
        raise PluginError(f"{subject} failed with {reason}.") from error


def _find(package: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None


def _normalise(package: str) -> str:
    """The name in the form in which package indexes compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package.strip()).lower()
