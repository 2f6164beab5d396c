"""The members after every round, on disk: safetensors and JSON, whole or not there, no pickle.

::

    checkpoints/round_0003/member_0.safetensors ... state.json

and ``average_0.safetensors ...`` where the members' own averages predict. The last two rounds and the
best one are kept.
"""

import errno
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from fedcross.errors import CheckpointError
from fedcross.runtime.atomic import atomic_folder
from fedcross.strategies.member import MemberState

KEPT = 2
_PREFIX, _STATE = "round_", "state.json"


@dataclass(frozen=True)
class Best:
    """The round with the highest validation Dice so far, see `better`.

    Attributes
    ----------
    round
        Its number, from 1.
    dice
        Mean of its validation.
    by_site
        Site -> Dice there; empty in a checkpoint that was written before these were kept.
    """

    round: int
    dice: float
    by_site: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """A run after a finished round.

    Attributes
    ----------
    rounds_done
        Finished rounds; those on disk have at least 1.
    members
        In order.
    best
        None while nothing was validated.
    validation
        Dice of this round's validation, ``mean`` and by site; empty if it was not validated.
    averages
        Each member's average over its own last rounds; empty if there is none.
    """

    rounds_done: int
    members: tuple[MemberState, ...]
    best: Best | None
    validation: dict[str, float]
    averages: tuple[MemberState, ...] = ()

    @property
    def predictors(self) -> tuple[MemberState, ...]:
        """What segments: the averages where there are any, else the members."""
        return self.averages or self.members


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder
        ``checkpoints`` in the run folder; made when the first round is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a finished round, then let go of those that are not needed any more.

        Raises
        ------
        CheckpointError
            If it cannot be written, for instance because the disk is full; earlier rounds are
            unharmed.
        """
        with atomic_folder(
            self._path(checkpoint.rounds_done),
            durable=True,
            error_class=CheckpointError,
            subject=f"The checkpoint of round {checkpoint.rounds_done}",
            hint="Earlier rounds are safe: make room and use --resume.",
        ) as partial:
            _write(partial, checkpoint)
        best = checkpoint.best.round if checkpoint.best else None
        for number in self.rounds():
            if number != best and number <= checkpoint.rounds_done - KEPT:
                shutil.rmtree(self._path(number), ignore_errors=True)

    def rounds(self) -> list[int]:
        """The rounds that are there, in order; empty before the first one."""
        if not self.folder.is_dir():
            return []
        names = (path.name.removeprefix(_PREFIX) for path in self.folder.glob(f"{_PREFIX}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def latest(self) -> Checkpoint | None:
        """The last round that is whole; None when no round was finished.

        Raises
        ------
        CheckpointError
            If there are rounds but all of them are damaged.
        """
        rounds = self.rounds()
        for number in reversed(rounds):
            try:
                return self.load(number)
            except CheckpointError:
                if number == rounds[0]:
                    raise
        return None

    def load(self, rounds_done: int) -> Checkpoint:
        """Read one round, checked against its hashes.

        Raises
        ------
        CheckpointError
            If it is not there or damaged.
        """
        folder = self._path(rounds_done)
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            members, averages = (
                tuple(_read_member(folder, entry) for entry in state.get(kind, []))
                for kind in ("members", "averages")
            )
            best = None if state["best"] is None else Best(**state["best"])
            return Checkpoint(state["rounds_done"], members, best, state["validation"], averages)
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint of round {rounds_done} cannot be read: {error.strerror}."
            ) from error
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"The checkpoint of round {rounds_done} is damaged.") from error

    def _path(self, rounds_done: int) -> Path:
        return self.folder / f"{_PREFIX}{rounds_done:04d}"


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    members = [_write_member(folder, "member", member) for member in checkpoint.members]
    averages = [_write_member(folder, "average", member) for member in checkpoint.averages]
    state = {
        "rounds_done": checkpoint.rounds_done,
        "best": None if checkpoint.best is None else asdict(checkpoint.best),
        "validation": checkpoint.validation,
        "members": members,
        "averages": averages,
    }
    (folder / _STATE).write_bytes(json.dumps(state, indent=2).encode("utf-8"))


def _write_member(folder: Path, kind: str, member: MemberState) -> dict[str, str]:
    name = f"{kind}_{member.index}.safetensors"
    try:
        safetensors.torch.save_file(member.to_tensors(), folder / name)
    except SafetensorError as error:
        raise OSError(errno.EIO, str(error)) from error
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": name, "sha256": digest}


def _read_member(folder: Path, entry: dict[str, Any]) -> MemberState:
    data = (folder / Path(entry["file"]).name).read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{entry['file']} of {folder.name} is damaged: its hash differs.")
    return MemberState.from_tensors(safetensors.torch.load(data))


def better(best: Best | None, new: Best) -> Best:
    """The best of what was best so far and a newly validated round; the earlier one on a tie.

    A site that was away makes a round's mean easier or harder to reach. So rounds that were judged
    by different sites are compared by the plain mean over the sites that judged both; if there is
    none, the round that more sites judged is the better one.
    """
    if best is None:
        return new
    both = best.by_site.keys() & new.by_site.keys()
    if not best.by_site or best.by_site.keys() == new.by_site.keys():
        is_better = new.dice > best.dice
    elif both:
        is_better = fmean(new.by_site[s] for s in both) > fmean(best.by_site[s] for s in both)
    else:
        is_better = len(new.by_site) > len(best.by_site)
    return new if is_better else best
