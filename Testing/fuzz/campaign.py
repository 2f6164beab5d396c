"""Try many inputs in batches, so that a campaign can be interrupted, continued and repeated.

A batch is decided by its kind and number alone: hypothesis draws its inputs from this seed. After each
batch the figures so far are stored in ``state.json``; a second start goes on after the last batch.
"""

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from fedcross.runtime.files.atomic import write_atomically
from fuzz.judge import ACCEPTED, FAILED, REFUSED, Outcome, judge
from fuzz.kind import Input, Kind

BATCH = 200
KEPT_FAILURES = 20
"""Failing inputs of each kind that are stored."""


@dataclass
class Tally:
    """The figures of one kind.

    Attributes
    ----------
    batches
        Finished batches.
    inputs, refused, accepted, failed
        Numbers of inputs; the last three add up to the first.
    slowest_s
        Largest CPU time of an input that did not fail, in seconds.
    largest_mb
        Largest additional memory of an input that did not fail, in MB (10^6 bytes).
    reasons
        Why inputs failed, and how often.
    """

    batches: int = 0
    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    largest_mb: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.inputs += 1
        if outcome.verdict == FAILED:
            self.failed += 1
            self.reasons[outcome.reason] = self.reasons.get(outcome.reason, 0) + 1
            return
        self.refused += outcome.verdict == REFUSED
        self.accepted += outcome.verdict == ACCEPTED
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.largest_mb = max(self.largest_mb, outcome.memory / 1e6)


def try_valid(kind: Kind, folder: Path) -> None:
    """Read the valid inputs of a kind twice: the first time libraries are imported.

    Raises
    ------
    AssertionError
        If one is not accepted.
    """
    for one in kind.valid() * 2:
        outcome = judge(kind, one, folder)
        if outcome.verdict != ACCEPTED and not outcome.reason.startswith("took"):
            raise AssertionError(
                f"{kind.name}: a valid input is {outcome.verdict}: {outcome.reason}"
            )
    if outcome.verdict != ACCEPTED:
        raise AssertionError(f"{kind.name}: a valid input {outcome.reason}")


def try_batch(
    kind: Kind,
    number: int,
    count: int,
    folder: Path,
    skip: Callable[[Input], str | None] = lambda one: None,
) -> Iterator[tuple[Input, Outcome]]:
    """Yield the inputs of a batch and their outcomes.

    Parameters
    ----------
    kind
        What is tried.
    number, count
        Number of the batch, and of its inputs. Both decide the inputs.
    folder
        Folder for the input that is read.
    skip
        Called with an input before it is read; what it returns is the reason why it failed earlier.
    """
    done: list[tuple[Input, Outcome]] = []

    @seed(zlib.crc32(f"{kind.name} {number}".encode()))
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.inputs)
    def each(one: Input) -> None:
        reason = skip(one)
        outcome = Outcome(FAILED, reason, 0.0, 0) if reason else judge(kind, one, folder)
        done.append((one, outcome))

    each()
    yield from done


class Campaign:
    """The figures and the failing inputs of a campaign in a folder.

    Parameters
    ----------
    out
        The folder; made if absent.
    before
        Called before each input.
    """

    def __init__(self, out: Path, before: Callable[[], None] = lambda: None) -> None:
        self.out, self._before = out, before
        self.tallies: dict[str, Tally] = {}
        self.crashes: dict[str, str] = {}
        out.mkdir(parents=True, exist_ok=True)
        if (out / "state.json").is_file():
            state = json.loads((out / "state.json").read_text(encoding="utf-8"))
            self.tallies = {name: Tally(**each) for name, each in state["tallies"].items()}
            self.crashes = state["crashes"]

    def run(self, kind: Kind, wanted: int, folder: Path) -> None:
        """Try the batches of a kind that are missing; `wanted` is the number of inputs."""
        tally = self.tallies.setdefault(kind.name, Tally())
        if tally.inputs >= wanted:
            return
        try_valid(kind, folder)
        while tally.inputs < wanted:
            count = min(BATCH, wanted - tally.inputs)
            for one, outcome in try_batch(
                kind, tally.batches, count, folder, self._crashed(folder)
            ):
                tally.add(outcome)
                if outcome.verdict == FAILED:
                    self.keep(kind, one, outcome.reason)
            tally.batches += 1
            self.save()

    def record_crash(self, reason: str, folder: Path) -> None:
        """Record that the process ended while it read an input."""
        digest = (folder / "digest").read_text(encoding="ascii")
        if digest in self.crashes:
            raise RuntimeError(f"the process ends before it reads an input: {reason}")
        self.crashes[digest] = reason
        self.save()

    def save(self) -> None:
        """Store the figures."""
        tallies = {name: asdict(tally) for name, tally in self.tallies.items()}
        text = json.dumps({"tallies": tallies, "crashes": self.crashes}, indent=1)
        write_atomically(self.out / "state.json", text.encode())

    def _crashed(self, folder: Path) -> Callable[[Input], str | None]:
        def skip(one: Input) -> str | None:
            self._before()
            (folder / "digest").write_text(one.digest, encoding="ascii")
            return self.crashes.get(one.digest)

        return skip

    def keep(self, kind: Kind, one: Input, reason: str) -> None:
        """Store a failing input; at most `KEPT_FAILURES` of each kind."""
        folder = self.out / "failures" / kind.name.replace(" ", "-")
        if folder.is_dir() and len(list(folder.iterdir())) >= KEPT_FAILURES:
            return
        shutil.rmtree(folder / one.digest, ignore_errors=True)
        one.write(folder / one.digest / "input")
        (folder / one.digest / "reason.txt").write_text(f"{one.main}: {reason}\n", encoding="utf-8")


def table(tallies: Mapping[str, Tally]) -> str:
    """Return the figures of all kinds as a table in Markdown."""
    lines = [
        "| kind | inputs | refused | accepted and right | failed | slowest, s | largest, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in tallies.items():
        lines.append(
            f"| {name} | {each.inputs:,} | {each.refused:,} | {each.accepted:,} | {each.failed:,} | "
            f"{each.slowest_s:.2f} | {each.largest_mb:.0f} |"
        )
    total = [sum(getattr(t, n) for t in tallies.values()) for n in ("inputs", "refused")]
    total += [sum(getattr(t, n) for t in tallies.values()) for n in ("accepted", "failed")]
    slowest = max((each.slowest_s for each in tallies.values()), default=0)
    largest = max((each.largest_mb for each in tallies.values()), default=0)
    counts = " | ".join(f"{number:,}" for number in total)
    lines.append(f"| all | {counts} | {slowest:.2f} | {largest:.0f} |")
    return "\n".join(lines) + "\n"
