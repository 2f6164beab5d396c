"""A result in words: what `fedcross segment` prints at its end, the same as the panel of Slicer."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from fedcross.contract.plain_text import plain_text
from fedcross.contract.wording import basis_text, verdict_text, volume_text

if TYPE_CHECKING:
    from fedcross.contract.figures import StructureFigures
    from fedcross.infer.results.summary import HotSpotSummary, Summary

PLACES = 3
"""Hot spots that are printed; ``summary.json`` holds the others."""
LONGEST_NAME = 60
"""Characters of a name in a column."""


def result_lines(summary: "Summary") -> list[str]:
    """Return a result as lines of plain text, without colours.

    The first lines have the volume of each structure, the verdict and the figure that it is from. The
    places to look at first follow, with their position in LPS mm.
    """
    from fedcross.infer.results.structure_figures import structure_figures

    members = summary.bundle.members
    figures = [structure_figures(each) for each in summary.structures]
    return [
        *aligned([structure_cells(each, members) for each in figures]),
        *_places(summary.hot_spots),
    ]


def structure_cells(figures: "StructureFigures", members: int) -> tuple[str, ...]:
    """Return name, volume, verdict and basis of a structure, one text for each column."""
    return (
        plain_text(figures.name, LONGEST_NAME),
        volume_text(figures, members),
        verdict_text(figures),
        basis_text(figures),
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with aligned columns; wide characters count as two."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _places(spots: Sequence["HotSpotSummary"]) -> Iterator[str]:
    if not spots:
        yield "There is no hot spot: the members agree everywhere."
        return
    yield "Look here first (LPS, mm):"
    yield from aligned(
        [
            (
                f"  {spot.rank}.",
                "({:.1f}, {:.1f}, {:.1f})".format(*spot.centroid_mm),
                f"{spot.volume_ml:.2f} mL",
                plain_text(spot.structure or "", LONGEST_NAME),
            )
            for spot in spots[:PLACES]
        ]
    )
    if len(spots) > PLACES:
        more = len(spots) - PLACES
        yield f"  {more} more {'is' if more == 1 else 'are'} in summary.json."
