"""Text from strangers is harmless where it is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.contract.plain_text import csv_cell, plain_text, shown_value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Left kidney", "Left kidney"),
        ("a\x1b[31mred\x07", "a?[31mred?"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("file\u202egnp.exe", "file?gnp.exe"),
        ("\udcff", "?"),
        ("Prostata, Größe 3 µL — 前立腺", "Prostata, Größe 3 µL — 前立腺"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("line\u2028separator", "line?separator"),
        ("", ""),
    ],
)
def test_hidden_characters_are_replaced_and_letters_stay(text: str, shown: str) -> None:
    assert plain_text(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, "1.5"),
        ("a\x1b[2J", r"'a\x1b[2J'"),
        ([1, 2, 3], "[1, 2, 3]"),
        (list(range(13)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]"),
        ([[[[[5]]]]], "[[[[[...]]]]]"),
        (None, "None"),
    ],
)
def test_a_value_in_a_message_is_written_as_in_python(value: object, shown: str) -> None:
    assert shown_value(value) == shown


@pytest.mark.parametrize("value", ["x" * 5000, 10**1000, {str(n): "x" * 60 for n in range(9)}])
def test_a_long_value_in_a_message_is_cut(value: object) -> None:
    assert len(shown_value(value)) <= 80
    assert "..." in shown_value(value)


def test_a_value_that_is_nested_deeply_can_be_shown() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert shown_value(value).startswith("[[[[[...")


def test_a_long_text_is_cut() -> None:
    assert plain_text("x" * 20, longest=10) == "xxxxxxx..."


@given(st.text(st.characters(codec=None), max_size=700))
def test_any_text_becomes_one_line_that_can_be_encoded(text: str) -> None:
    shown = plain_text(text)
    shown.encode("utf-8")
    assert len(shown) <= 500
    assert len(shown.splitlines()) <= 1
    kinds = {unicodedata.category(each) for each in shown} - {"Cf"}
    assert not kinds & {"Cc", "Cs", "Co", "Cn"}
    assert plain_text(shown) == shown


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+2", "'+1+2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-case", "'-case"),
        ("\t=1", "' =1"),
        ("-3.5", "-3.5"),
        (-3.5, -3.5),
        (None, None),
        ("case-1", "case-1"),
    ],
)
def test_a_cell_never_begins_a_formula(value: object, cell: object) -> None:
    assert csv_cell(value) == cell
