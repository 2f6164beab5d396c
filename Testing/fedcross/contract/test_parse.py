"""Whatever is wrong with a text, its parser raises a ValueError."""

import pytest

from fedcross.contract.parse import parse_json, parse_toml


def test_the_value_of_a_sound_text_is_returned() -> None:
    assert parse_json(b'{"a": [1, 2]}') == parse_json('{"a": [1, 2]}') == {"a": [1, 2]}
    assert parse_toml("a = [1, 2]") == {"a": [1, 2]}


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 200_000, "[" * 5000 + "]" * 5000, b"\xff", "9" * 5000]
)
def test_a_text_that_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["=", "a = " + "[" * 2000 + "]" * 2000, "a = " + "9" * 5000, "a = 1\na = 1"]
)
def test_a_text_that_is_no_toml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_toml(text)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a = 1\r\nb = “north”", "quotation marks must be straight, got “"),
        ('images = "C:\\data\\images"', "in a path, write / in place of a backslash"),
    ],
)
def test_what_word_processors_and_windows_write_is_named(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        parse_toml(text)
