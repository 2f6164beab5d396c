"""The page of the documentation that explains the figures. No Qt here."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    title
        Its heading.
    level
        Level of the heading: 2, or 3 for a section inside one of level 2.
    text
        The section with its heading and the sections inside it, in Markdown without links and pictures.
    """

    title: str
    level: int
    text: str


def readSections(path: Path) -> list[Section]:
    """Return the sections of a page, in its order; an empty list if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    headings = list(re.finditer(r"^(##+) (.+)$", text, flags=re.M))
    sections = []
    for index, heading in enumerate(headings):
        level = len(heading[1])
        later = (each for each in headings[index + 1 :] if len(each[1]) <= level)
        end = next((each.start() for each in later), len(text))
        body = _withoutLinks(text[heading.start() : end])
        sections.append(Section(_withoutLinks(heading[2]).strip(), level, body))
    return sections


def _withoutLinks(text: str) -> str:
    """Markdown whose links are their texts, without pictures: the page has no neighbours here."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|</?(?:p|img|br|a)\b[^>]*>", "", text)
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", text)
