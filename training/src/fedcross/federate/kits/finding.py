"""The result of a check of a hospital's machine."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "note", "warning", "wrong"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    topic
        What was checked, in one or two words.
    verdict
        ``wrong``: the site cannot take part. ``warning``: it can, but a person should read the message.
        ``note``: information, nothing to do.
    message
        The reason, as one sentence or two.
    """

    topic: str
    verdict: Verdict
    message: str
