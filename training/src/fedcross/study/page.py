"""HTML pages that contain their style and figures and load no other file."""

from collections.abc import Mapping, Sequence
from html import escape

from fedcross.contract.plain_text import plain_text

LONGEST_TEXT = 20_000
"""Characters of a text on a page."""
STYLESHEET = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72em; margin: 2em auto;
  padding: 0 1.5em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2.2em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #888; }
tr.reference td { background: #f2f6fa; }
p, li { max-width: 60em; } .note { color: #555; font-size: .92em; }
svg { max-width: 100%; height: auto; }
@media print {
  body { margin: 0; max-width: none; font-size: 10pt; }
  .wide { overflow: visible; } table, .wide, svg { break-inside: avoid; } h2 { break-after: avoid; }
}
"""


def table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], reference: int | None = None
) -> str:
    """Return an HTML table of plain texts; the row with the index `reference` is tinted."""
    head = "".join(f"<th>{safe_text(text)}</th>" for text in heading)
    body = []
    for index, row in enumerate(rows):
        mark = ' class="reference"' if index == reference else ""
        body.append(f"<tr{mark}>{''.join(f'<td>{safe_text(text)}</td>' for text in row)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def note(text: str) -> str:
    """Return a paragraph of explanation."""
    return f'<p class="note">{safe_text(text)}</p>'


def figure(svg: str | None, description: str) -> str:
    """Return a figure with a description for screen readers; a sentence if there is no figure."""
    if svg is None:
        return note(f"{description}: nothing to show.")
    return f'<div class="wide" role="img" aria-label="{safe_text(description)}">{svg}</div>'


def page(title: str, lead: str, sections: Mapping[str, Sequence[str]]) -> str:
    """Return the whole page; `sections` are pieces of HTML by their heading."""
    parts = [f"<h2>{safe_text(name)}</h2>{''.join(pieces)}" for name, pieces in sections.items()]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{safe_text(title)}'
        f"</title><style>{STYLESHEET}</style></head><body>\n<h1>{safe_text(title)}</h1>\n"
        f"<p>{safe_text(lead)}</p>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def safe_text(text: str) -> str:
    """Return a text without hidden characters in which HTML has no meaning."""
    return escape(plain_text(text, LONGEST_TEXT))
