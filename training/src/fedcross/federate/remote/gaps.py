"""Visits that failed, and when a member makes them up.

A member that missed a site meets it at the end of the block of rounds in which every member was to meet
every site once, or at the end of the run; if that fails too, at the end of the next block. There the
learning rate is that of the round under way, so that it never rises again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Gap:
    """A visit that did not happen.

    Attributes
    ----------
    round
        Of the schedule, from 1.
    member, site
        Indices.
    reason
        One sentence.
    made_up
        In which round the visit was made up, from 1; None while it is outstanding.
    """

    round: int
    member: int
    site: int
    reason: str
    made_up: int | None = None


@dataclass(frozen=True)
class Gaps:
    """All gaps of a run, in the order in which they arose; never changed in place."""

    all: tuple[Gap, ...] = ()

    @property
    def outstanding(self) -> tuple[Gap, ...]:
        """Those to be made up."""
        return tuple(gap for gap in self.all if gap.made_up is None)

    def with_gap(self, gap: Gap) -> "Gaps":
        """These and one more."""
        return Gaps((*self.all, gap))

    def made_up(self, gap: Gap, round_number: int) -> "Gaps":
        """The same, one of them made up in a round."""
        return Gaps(tuple(replace(g, made_up=round_number) if g == gap else g for g in self.all))

    def after(self, rounds_done: int) -> "Gaps":
        """As they were when so many rounds were done: what a run begins again with."""
        return Gaps(
            tuple(
                replace(gap, made_up=None) if (gap.made_up or 0) > rounds_done else gap
                for gap in self.all
                if gap.round <= rounds_done
            )
        )

    def record(self) -> dict[str, Any]:
        """As JSON can hold them."""
        return {"gaps": [asdict(gap) for gap in self.all]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Gaps":
        """The inverse of `record`; raises KeyError or TypeError if it is none."""
        return cls(tuple(Gap(**entry) for entry in record["gaps"]))


def waves(gaps: Iterable[Gap]) -> list[list[Gap]]:
    """Make-up visits that can happen side by side: each member and each site once in a wave.

    Every gap goes into the first wave that has room for it; no gaps, no waves.
    """
    out: list[list[Gap]] = []
    for gap in gaps:
        room = (wave for wave in out if _fits(gap, wave))
        wave = next(room, None)
        if wave is None:
            out.append([gap])
        else:
            wave.append(gap)
    return out


def ends_block(round_index: int, sites: int, rounds: int) -> bool:
    """Whether gaps are made up in this round, counted from 0: the last of a block or of the run."""
    return (round_index + 1) % sites == 0 or round_index + 1 == rounds


def _fits(gap: Gap, wave: Sequence[Gap]) -> bool:
    return all(gap.member != other.member and gap.site != other.site for other in wave)
