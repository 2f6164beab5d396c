"""Gaps: visits that failed, and the rounds in which members make them up.

A block has as many rounds as there are sites; in it every member visits every site once. A member that
missed a visit makes it up in the last round of the block or of the run. If that fails too, it tries
again at the end of the next block. The learning rate is that of the current round, so that it never
rises.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Gap:
    """A visit that failed.

    Attributes
    ----------
    round
        Number of the round in which it was scheduled, from 1.
    member, site
        Indices of the member and the site, from 0.
    reason
        Why it failed, one sentence.
    made_up
        Number of the round in which it was made up, from 1; None if it was not made up.
    """

    round: int
    member: int
    site: int
    reason: str
    made_up: int | None = None


@dataclass(frozen=True)
class Gaps:
    """All gaps of a run in the order in which they arose; immutable."""

    all: tuple[Gap, ...] = ()

    @property
    def outstanding(self) -> tuple[Gap, ...]:
        """The gaps that are not made up."""
        return tuple(gap for gap in self.all if gap.made_up is None)

    def with_gap(self, gap: Gap) -> "Gaps":
        """Return these gaps and one more."""
        return Gaps((*self.all, gap))

    def with_made_up(self, gap: Gap, round_number: int) -> "Gaps":
        """Return these gaps with one of them made up in a round."""
        return Gaps(tuple(replace(g, made_up=round_number) if g == gap else g for g in self.all))

    def at_round(self, rounds_done: int) -> "Gaps":
        """Return the gaps as they were after so many rounds, from which a resumed run continues."""
        return Gaps(
            tuple(
                replace(gap, made_up=None) if (gap.made_up or 0) > rounds_done else gap
                for gap in self.all
                if gap.round <= rounds_done
            )
        )

    def as_record(self) -> dict[str, Any]:
        """Return the gaps in a form for JSON."""
        return {"gaps": [asdict(gap) for gap in self.all]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Gaps":
        """Return the gaps of `as_record`; raise KeyError or TypeError for another form."""
        return cls(tuple(Gap(**entry) for entry in record["gaps"]))


def pack_into_waves(gaps: Iterable[Gap]) -> list[list[Gap]]:
    """Group gaps into waves of visits that can run at the same time.

    In a wave each member and each site occurs once. Every gap goes into the first wave where that holds,
    in the order of `gaps`. Without gaps the result is empty.
    """
    waves: list[list[Gap]] = []
    for gap in gaps:
        wave = next((wave for wave in waves if _fits(gap, wave)), None)
        if wave is None:
            waves.append([gap])
        else:
            wave.append(gap)
    return waves


def ends_block(round_index: int, sites: int, rounds: int) -> bool:
    """Whether the round with this index, from 0, is the last one of a block or of the run."""
    return (round_index + 1) % sites == 0 or round_index + 1 == rounds


def _fits(gap: Gap, wave: Sequence[Gap]) -> bool:
    return all(gap.member != other.member and gap.site != other.site for other in wave)
