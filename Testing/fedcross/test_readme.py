"""The README is one page that a person finishes; test_docs.py checks what it shows."""

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def test_it_states_once_that_it_is_no_medical_device() -> None:
    assert len(re.findall("not a medical device", README)) == 1


def test_it_names_both_commands_for_a_newcomer() -> None:
    assert re.search(r"^make demo\b", README, flags=re.M)
    assert re.search(r"^make test\b", README, flags=re.M)
