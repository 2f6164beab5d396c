"""A reference to a network, loss, augmentation or optimiser of another installed package.

This module does not import torch.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from fedcross.runtime.plugins import Kind, explain_failure, load_plugin, require_plugin
from fedcross.runtime.stable_record import StableRecord

MOST_VALUES, DEEPEST, LONGEST_TEXT, LARGEST_NUMBER = 256, 3, 200, 2**53


def _freeze(value: Any, depth: int = 0) -> Any:
    """A checked argument: a number, a string, a boolean, or a tuple of them (nested `DEEPEST` times)."""
    if isinstance(value, list | tuple):
        if depth == DEEPEST:
            raise ValueError(f"arguments may hold lists in lists {DEEPEST} deep, got more")
        return tuple(_freeze(each, depth + 1) for each in value)
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT or not value.isprintable():
            raise ValueError(f"a text among the arguments must be at most {LONGEST_TEXT} signs")
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
            raise ValueError(f"a number among the arguments must be at most 2^53, got {value}")
        return value
    raise ValueError(
        f"arguments must be numbers, texts, booleans or lists of them, got {type(value).__name__}"
    )


def _count(value: Any) -> int:
    return 1 + sum(map(_count, value)) if isinstance(value, tuple) else 1


def _check_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    frozen = {name: _freeze(value) for name, value in arguments.items()}
    count = sum(map(_count, frozen.values()))
    if count > MOST_VALUES:
        raise ValueError(f"arguments must have at most {MOST_VALUES} values, got {count}")
    return frozen


PackageName = Annotated[
    str, Field(max_length=60, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
]
ArgumentName = Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class PluginReference(StableRecord):
    """An entry point of an installed package, and the arguments with which it is called."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    package: PackageName = Field(description="Name of the package as it is installed.")
    entry: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        description="Name of the entry point in its group, for example of fedcross.networks."
    )
    version: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z0-9.!+_-]+$")] | None = Field(
        default=None,
        description="Version of the package that is needed. When left out, every version is used; a "
        "bundle always names the version with which it was made.",
    )
    arguments: Annotated[dict[ArgumentName, Any], AfterValidator(_check_arguments)] = Field(
        default_factory=dict,
        description="Arguments of the entry point: numbers, texts, booleans, or lists of them, at most "
        "256 values. Empty by default.",
    )

    def __str__(self) -> str:
        """Return package, version and entry point for messages."""
        version = "" if self.version is None else f" {self.version}"
        return f"{self.entry!r} of the package {self.package}{version}"

    def require(self, kind: Kind) -> None:
        """Check that the entry point can be used, without importing it.

        Raises
        ------
        PluginError
            See `fedcross.runtime.plugins.require_plugin`.
        """
        require_plugin(kind, self.package, self.entry, self.version)

    def make(self, kind: Kind, *values: Any, **options: Any) -> Any:
        """Import the entry point, call it with the arguments, and return its result.

        Parameters
        ----------
        kind
            What the entry point makes.
        values, options
            Further arguments. An option with the same name as an argument of the reference wins.

        Raises
        ------
        PluginError
            If it cannot be used, or the call fails.
        """
        factory = load_plugin(kind, self.package, self.entry, self.version)
        with explain_failure(f"The {kind} {self}"):
            return factory(*values, **{**_as_lists(self.arguments), **options})


def _as_lists(value: Any) -> Any:
    """The arguments with lists in place of tuples, as they are written in a file."""
    if isinstance(value, dict):
        return {name: _as_lists(each) for name, each in value.items()}
    return [_as_lists(each) for each in value] if isinstance(value, tuple) else value
