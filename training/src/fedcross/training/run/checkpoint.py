"""Checkpoints: the members after every round, on disk as safetensors and JSON.

::

    checkpoints/round_0003/member_0.safetensors ... state.json

With averages of the members (see the option `average`) there is ``average_0.safetensors ...`` as well.
A checkpoint is written to a temporary folder and then renamed. The last two rounds and the best one
are kept.
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

from fedcross.contract.parse import parse_json
from fedcross.errors import CheckpointError
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.strategies.member import MemberState

KEPT_ROUNDS = 2
_PREFIX, _STATE = "round_", "state.json"


@dataclass(frozen=True)
class Best:
    """The best validated round so far, see `choose_better`.

    Attributes
    ----------
    round
        Number of the round, from 1.
    dice
        Mean Dice of its validation.
    by_site
        Site to its Dice; empty in a checkpoint of an older version, which did not store it.
    """

    round: int
    dice: float
    by_site: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a finished round.

    Attributes
    ----------
    rounds_done
        Number of finished rounds; at least 1 on disk, 0 before the first round.
    members
        The members in the order of their indices.
    best
        The best validated round; None before the first validation.
    validation
        Dice of this round's validation, with the key ``mean`` and one key per site; empty if the
        round was not validated.
    averages
        The average of each member over its own last rounds; empty if there are none.
    """

    rounds_done: int
    members: tuple[MemberState, ...]
    best: Best | None
    validation: dict[str, float]
    averages: tuple[MemberState, ...] = ()

    @property
    def predictors(self) -> tuple[MemberState, ...]:
        """The members that predict: the averages if there are any, and else the members."""
        return self.averages or self.members


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder
        Folder of the checkpoints; created when the first round is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a finished round, then delete the rounds that are not kept.

        Raises
        ------
        CheckpointError
            If it cannot be written, for example on a full disk; earlier rounds are not changed.
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
            if number != best and number <= checkpoint.rounds_done - KEPT_ROUNDS:
                shutil.rmtree(self._path(number), ignore_errors=True)

    def rounds(self) -> list[int]:
        """The numbers of the rounds on disk, in order; empty before the first one."""
        if not self.folder.is_dir():
            return []
        names = (path.name.removeprefix(_PREFIX) for path in self.folder.glob(f"{_PREFIX}*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def latest(self) -> Checkpoint | None:
        """Load the last round that is not damaged; None if there is no round.

        Raises
        ------
        CheckpointError
            If all rounds are damaged.
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
        """Load the checkpoint after round `rounds_done` and check its hashes.

        Raises
        ------
        CheckpointError
            If it does not exist or is damaged.
        """
        folder = self._path(rounds_done)
        try:
            state = parse_json((folder / _STATE).read_text(encoding="utf-8"))
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


def choose_better(best: Best | None, new: Best) -> Best:
    """Return the better of the best round so far and a newly validated one; `best` if they are equal.

    Rounds with the same sites are compared by their mean Dice. A site that is absent from a round
    changes its mean. Therefore rounds with different sites are compared by the mean Dice of the sites
    that both have; if they have none in common, the round with more sites is better. If the sites of
    `best` are unknown, the mean Dice is compared.

    Parameters
    ----------
    best
        The best round so far; None before the first validation.
    new
        The newly validated round.
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
