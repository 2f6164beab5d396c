"""Numbers of a result's summary. Python's JSON may hold NaN and infinities, which no figure is."""

import math
from typing import Any


def finiteNumber(value: Any) -> float:
    """Return a finite number.

    Raises
    ------
    ValueError
        If it is not finite, or is no number.
    TypeError
        If it is of another kind.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, got {value}")
    return number


def positiveNumber(value: Any) -> float:
    """Return a finite number above 0; otherwise as `finiteNumber`."""
    number = finiteNumber(value)
    if not number > 0:
        raise ValueError(f"expected a number above 0, got {value}")
    return number


def shareNumber(value: Any) -> float:
    """Return a number from 0 to 1; otherwise as `finiteNumber`."""
    number = finiteNumber(value)
    if not 0 <= number <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {value}")
    return number
