"""Make text from an unknown source harmless for the place where it is shown.

Names, descriptions and values in bundles, images and configurations come from strangers. Control
characters can move a terminal's cursor. Bidirectional overrides can show a text in another order than it
has. `plain_text` is for terminals, logs, labels and messages, `shown_value` for a value in a message;
`csv_cell` is for spreadsheets. A page in HTML needs `html.escape` after `plain_text`.
"""

import reprlib
import unicodedata

LONGEST = 500
"""Characters that remain of a text."""

_JOINERS = "\u200c\u200d"
"""Zero-width joiners, which several scripts need for their spelling."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories: control, format, surrogate, private, unassigned; separators of lines."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula."""


def plain_text(text: str, longest: int = LONGEST) -> str:
    """Return a text as one line without hidden characters.

    Parameters
    ----------
    text
        Any text, also with lone surrogates.
    longest
        Largest number of characters; a longer text is cut and ends in ``...``.

    Returns
    -------
    str
        Every control, format, surrogate, private or unassigned character, and every separator of
        lines, is replaced by a question mark; a tab and a line feed by a space. Letters, marks, digits,
        punctuation and symbols of all scripts stay.
    """
    shown = text if len(text) <= longest else f"{text[: max(longest - 3, 0)]}..."
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(map(_shown, shown))


def shown_value(value: object, longest: int = 80) -> str:
    """Return any value as Python writes it, short enough for a message.

    Parameters
    ----------
    value
        Any value, also one that is nested too deeply for `repr`.
    longest
        Largest number of characters. Of a longer or deeper value ``...`` replaces the rest.
    """
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 4, 12, 12, 6
    short.maxstring = short.maxother = short.maxlong = longest
    return plain_text(short.repr(value), longest)


def csv_cell(value: object) -> object:
    """Return the value of a cell of a CSV file that a spreadsheet does not take for a formula.

    Text is made plain by `plain_text`, and gets an apostrophe in front if it begins like a formula.
    Numbers and None stay as they are.
    """
    if not isinstance(value, str):
        return value
    text = plain_text(value)
    begins_formula = value.startswith(_FORMULA) or text.startswith(_FORMULA)
    return f"'{text}" if begins_formula and not _is_number(text) else text


def _shown(character: str) -> str:
    if character in "\t\n":
        return " "
    if character in _JOINERS or unicodedata.category(character) not in _HIDDEN:
        return character
    return "?"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 case`` or ``2 cases``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
