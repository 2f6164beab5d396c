"""Options of the section ``[method]`` that the record of every method has."""

from typing import Any, Final

RECORDED_OPTIONS: Final[dict[str, Any]] = {
    "members": None,
    "schedule": "latin",
    "participation": 1.0,
    "dropout": 0.0,
    "mu": None,
    "distillation": 0.0,
    "temperature": 2.0,
    "weighting": "cases",
    "optimizer_state": "average",
}
"""Options that are recorded for every method, with the value that means "not used".

Run folders and agreed configuration hashes contain them whether or not the method has the option.
This list is fixed: an option of a new method is recorded for that method only, and a new option of an
old method is listed in its `added_later`.
"""
