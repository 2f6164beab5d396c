"""HTML pages that contain their style and figures and load no other file."""

from collections.abc import Collection, Mapping, Sequence
from html import escape

from fedcross.contract.plain_text import plain_text

LONGEST_TEXT = 20_000
"""Characters of a text on a page."""
STYLESHEET = """
:root { color-scheme: light dark; --text: #222; --soft: #555; --line: #ddd; --rule: #888;
  --tint: #eef3fa; --best: #0b6b3a; --paper: #fff; }
@media screen and (prefers-color-scheme: dark) {
  :root { --text: #e4e4e4; --soft: #b0b0b0; --line: #3a3d42; --rule: #777; --tint: #252b35;
    --best: #7fd6a4; --paper: #17191c; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper);
  max-width: 78em; margin: 2em auto; padding: 0 1.2em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2.2em; }
.wide { overflow-x: auto; } .wide, .figure { margin: 1em 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .94em; }
th, td { padding: .28em .6em; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: baseline; }
th { white-space: normal; vertical-align: bottom; overflow-wrap: break-word; }
td.words, th.words { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 4.6em; }
tr:has(td:not(.words)) td.words { min-width: 6.6em; }
thead th { border-bottom: 2px solid var(--rule); }
tr.reference td { background: var(--tint); }
td.best { font-weight: 700; color: var(--best); }
p, li { max-width: 60em; } .note { color: var(--soft); font-size: .92em; }
.figure { background: #fff; border-radius: 6px; width: fit-content; max-width: 100%; }
svg { display: block; max-width: 100%; height: auto; }
@media (max-width: 900px) { body { font-size: 14px; } th, td { padding: .25em .4em; } }
@media print {
  @page { margin: 14mm; }
  :root { color-scheme: light; }
  body { margin: 0; padding: 0; max-width: none; font-size: 9pt; }
  th, td { padding: .2em .4em; }
  .wide { overflow: visible; } tr, .figure, svg { break-inside: avoid; } h2 { break-after: avoid; }
  thead { display: table-header-group; } details > * { display: revert; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""


def table(
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
    reference: int | None = None,
    *,
    words: Collection[int] = (0,),
    best: Collection[tuple[int, int]] = (),
) -> str:
    """Return an HTML table of plain texts.

    Parameters
    ----------
    heading, rows
        The cells; every row is as long as the heading.
    reference
        Index of a row to tint; None for none.
    words
        Indices of the columns with words. These are aligned left, and their cells may break into
        several lines; the others hold numbers.
    best
        (row, column) of the cells to print in bold.
    """
    kind = ' class="words"'
    head = "".join(
        f"<th{kind if column in words else ''}>{safe_text(text)}</th>"
        for column, text in enumerate(heading)
    )
    body = []
    for index, row in enumerate(rows):
        cells = []
        for column, text in enumerate(row):
            names = [
                name
                for name, is_so in (("words", column in words), ("best", (index, column) in best))
                if is_so
            ]
            mark = f' class="{" ".join(names)}"' if names else ""
            cells.append(f"<td{mark}>{safe_text(text)}</td>")
        mark = ' class="reference"' if index == reference else ""
        body.append(f"<tr{mark}>{''.join(cells)}</tr>")
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
    return f'<div class="figure" role="img" aria-label="{safe_text(description)}">{svg}</div>'


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
