"""Lines that are no events."""

import pytest

from fedcross.contract.events import read_event


@pytest.mark.parametrize("line", ["[" * 200_000, "", "{}", "null", '{"event": "other"}', "\udcff"])
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert read_event(line) is None
