"""The properties of a case in groups, and in words."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_Write = Callable[[float], str]


def _plain(value: float) -> str:
    return f"{value:.2f}"


def _logarithm(value: float) -> str:
    return f"{math.exp(min(value, 50.0)):.3g}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


@dataclass(frozen=True)
class Kind:
    """Properties that differ only in axis, channel or structure.

    Attributes
    ----------
    group
        Group that they are compared in; each channel and structure has its own.
    pattern
        Regular expression of the names, without what follows the colon.
    words
        What it is, for people; ``{0}`` and ``{1}`` are the groups of the pattern.
    write
        Writes a value without its unit.
    unit
        Its unit; empty if it has none.
    """

    group: str
    pattern: str
    words: str
    write: _Write = _plain
    unit: str = ""


KINDS = (
    Kind("geometry", r"spacing_([xyz])", "voxel size along {0}", _logarithm, "mm"),
    Kind("geometry", r"field_of_view_([xyz])", "field of view along {0}", _logarithm, "mm"),
    Kind("intensity", r"percentile_(\d+)", "percentile {0} of the normalised intensities"),
    Kind("intensity", r"skewness", "skewness of the intensities"),
    Kind("intensity", r"share_of_lowest", "voxels with the lowest intensity", _percent, "%"),
    Kind("texture", r"roughness_([xyz])_(\d)", "roughness along {0}", _logarithm),
    Kind("texture", r"noise", "noise", _logarithm, "standard deviations"),
    Kind("layout", r"slope_([xyz])", "change of brightness along {0}"),
    Kind("layout", r"centre_([xyz])", "brightness of the middle along {0}"),
    Kind("ensemble", r"doubt", "doubtful voxels per voxel found", _logarithm),
    Kind("ensemble", r"disagreement", "1.01 minus the Dice between the members", _logarithm),
    Kind("structure", r"volume", "volume", _logarithm, "mL"),
    Kind("structure", r"place_([xyz])", "distance from the middle along {0}", _percent, "%"),
    Kind("structure", r"share_at_edge", "share at the edge of the volume", _percent, "%"),
    Kind("structure", r"brightness_(\d+)", "normalised intensity inside"),
    Kind("structure", r"contrast_(\d+)", "contrast with the surroundings"),
)
_OF_CHANNEL = ("intensity", "texture", "layout")


def split_name(name: str) -> tuple[Kind, re.Match[str], int | None] | None:
    """Return the kind of a property, the match of its pattern, and the number after the colon.

    None if the property is not known.
    """
    base, _, index = name.partition(":")
    for kind in KINDS:
        match = re.fullmatch(kind.pattern, base)
        if match:
            return kind, match, int(index) if index else None
    return None


def group_names(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the names of known properties by group, in the order of their first appearance."""
    groups: dict[tuple[str, int | None], list[str]] = {}
    for name in names:
        found = split_name(name)
        if found is not None:
            kind, _, index = found
            groups.setdefault((kind.group, index), []).append(name)
    return [tuple(group) for group in groups.values()]


def describe_property(name: str, channels: Sequence[str], structures: Sequence[str]) -> str:
    """Return what a property is, for people.

    Parameters
    ----------
    name
        Name of a known property.
    channels
        Names of the images of a case.
    structures
        Names of the structures, by label from 1.
    """
    found = split_name(name)
    if found is None:
        return name
    kind, match, index = found
    words = kind.words.format(*match.groups())
    if kind.group == "structure" and index is not None and 1 <= index <= len(structures):
        return f"{structures[index - 1]}: {words}"
    if kind.group in _OF_CHANNEL and index is not None and 0 <= index < len(channels) > 1:
        return f"{channels[index]}: {words}"
    return words


def show_value(name: str, value: float) -> str:
    """Write the value of a property with its unit."""
    return show_range(name, value, value)


def show_range(name: str, low: float, high: float) -> str:
    """Write two values of a property with their unit; one value if they look the same."""
    found = split_name(name)
    write, unit = (_plain, "") if found is None else (found[0].write, found[0].unit)
    first, last = write(low), write(high)
    both = first if first == last else f"{first} to {last}"
    return f"{both} {unit}" if unit else both
