"""The numbers of a record, to compare two records within a tolerance."""

from typing import Any


def numbers(value: Any) -> list[float]:
    """All numbers of a record, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [float(value)] if isinstance(value, int | float) else []
