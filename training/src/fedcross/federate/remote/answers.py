"""Reads the answers of sites in other processes: JSON of an agreed form and of limited length."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

MAX_CHARACTERS = 50_000_000

_Form = TypeVar("_Form", bound=BaseModel)


def parse_answer(
    name: str,
    answer: object,
    form: type[_Form],
    log: Callable[[str], None],
    *,
    content: str,
    purpose: str,
) -> _Form | None:
    """Return a site's answer; None, with a line in the log, if it does not have the agreed form.

    Parameters
    ----------
    name
        Name of the site.
    answer
        What it sent; must be JSON of at most `MAX_CHARACTERS` characters.
    form
        The agreed form.
    log
        Receives the line.
    content, purpose
        For the line: what the answer should hold, and what is made without it.
    """
    if isinstance(answer, str) and len(answer) <= MAX_CHARACTERS:
        try:
            return form.model_validate_json(answer)
        except ValidationError:
            pass
    log(f"Site {name} sent {content} of another form; the {purpose} is without it.")
    return None
