"""What supervising a federated run asks of the server, whoever carries it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fedcross.errors import FedCrossError

RUNNING = "RUNNING"
COMPLETED = "FINISHED:COMPLETED"
ENDED = "FINISHED"  # every status of a job that has ended begins so


# What the running job listens to. STATUS is answered with {"rounds_done": 3, "rounds": 48,
# "message": "Round 3/48: ..."}; PAUSE lets it end after the round under way, which is kept.
STATUS, PAUSE = "fedcross.status", "fedcross.pause"
# A job that ended by itself leaves the run's folder, and beside its files the `Outcome`.
RESULT, OUTCOME = "result", "outcome.json"


class FederationError(FedCrossError):
    """The server refuses, or the federation cannot go on."""


class UnreachableError(FederationError):
    """The server does not answer; it may later."""


class GoneError(FederationError):
    """The server does not know the job, or does not run it."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended that ended by itself.

    Attributes
    ----------
    state
        Of the run: finished; paused, to be handed in again; or refused, for a reason that stays.
    message
        One sentence.
    rounds_done, rounds
        How far it came.
    """

    state: Literal["finished", "paused", "refused"]
    message: str
    rounds_done: int
    rounds: int


class Coordinator(Protocol):
    """The coordinator's hand at the server. Every call may raise `UnreachableError`."""

    def server(self) -> str:
        """When the server was started: another answer than before means that it died since."""

    def submit(self, job: Path) -> str:
        """Hand a job's folder over; its identifier is returned."""

    def status(self, job: str) -> str:
        """FLARE's word for where a job stands; raises `GoneError` for one that is not known."""

    def sites(self, job: str) -> Mapping[str, bool]:
        """The sites that are connected, and whether each takes part in the job."""

    def ask(self, job: str, topic: str) -> Mapping[str, Any]:
        """Say something to the running job; raises `GoneError` if it does not run."""

    def abort(self, job: str) -> None:
        """End a job; nothing happens if it has ended already."""

    def download(self, job: str, folder: Path) -> Path:
        """Bring what an ended job left into a folder inside `folder`."""
