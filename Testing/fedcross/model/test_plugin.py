from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedcross.errors import PluginError
from fedcross.model.plugin import MOST_VALUES, PluginReference
from fedcross.runtime.plugins import allow_plugins
from installed_packages import example, nothing_allowed

__all__ = ["example", "nothing_allowed"]  # fixtures


def reference(**fields: Any) -> PluginReference:
    return PluginReference.model_validate({"package": "a-package", "entry": "net", **fields})


scalars = (
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6) | st.text("abc", max_size=9)
)
values = scalars | st.lists(scalars | st.lists(scalars, max_size=3), max_size=3)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), values, max_size=5))
def test_arguments_survive_the_way_through_json(arguments: dict[str, Any]) -> None:
    once = reference(arguments=arguments)
    again = PluginReference.model_validate_json(once.model_dump_json())
    assert again == once
    assert again.model_dump(mode="json")["arguments"] == arguments


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got NoneType"),
        ({"a": 1}, "got dict"),
        (float("nan"), "at most 2\\^53, got nan"),
        (2**53 + 1, "at most 2\\^53"),
        ("x" * 201, "at most 200 signs"),
        ("a\nb", "at most 200 signs"),
        ([[[[1]]]], "3 deep"),
        ([0] * MOST_VALUES, "at most 256 values, got 257"),
    ],
    ids=str,
)
def test_other_or_too_large_arguments_are_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        reference(arguments={"value": value})


@pytest.mark.parametrize(
    "fields",
    [
        {"package": "a package"},
        {"package": "../x"},
        {"package": "x" * 61},
        {"entry": "module:object"},
        {"version": "1.0; import os"},
        {"arguments": {"not a name": 1}},
        {"target": "os.system"},
    ],
    ids=str,
)
def test_names_that_no_package_has_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reference(**fields)


def test_the_entry_point_gets_the_arguments_as_lists_and_the_options(example: str) -> None:
    allow_plugins(example)
    network = reference(package=example, entry="two-level", arguments={"channels": 3})
    made = network.make("network", in_channels=1, classes=2)
    assert made.last.weight.shape == (2, 9, 1, 1, 1)


def test_an_argument_that_the_package_does_not_know_is_one_sentence(example: str) -> None:
    allow_plugins(example)
    wrong = reference(package=example, entry="erase", arguments={"colour": "red"})
    with pytest.raises(
        PluginError, match=r"augmentation 'erase' of .* failed with TypeError: .*colour"
    ):
        wrong.make("augmentation")
