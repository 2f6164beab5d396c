"""The result of a job, which the coordinator downloads."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from fedcross.federate.remote.status import RunStatus
from fedcross.federate.supervise.server_connection import OUTCOME, Outcome
from fedcross.runtime.files.partial import PARTIAL
from fedcross.training.run.folder import LOCK

State = Literal["finished", "paused", "refused"]


def write_result(run: Path, target: Path, state: State, status: RunStatus) -> None:
    """Write what the coordinator downloads: the run folder and the `Outcome`.

    Parameters
    ----------
    run
        Run folder; may be missing. Its checkpoints are copied for a finished run only.
    target
        Folder to make.
    state
        State of the run.
    status
        The run's last message and number of rounds.
    """
    ignored = [LOCK, f"{PARTIAL}*"] + ([] if state == "finished" else ["checkpoints"])
    if run.is_dir():
        shutil.copytree(run, target, ignore=shutil.ignore_patterns(*ignored))
    target.mkdir(exist_ok=True)
    outcome = Outcome(state=state, **status.as_record())
    (target / OUTCOME).write_text(json.dumps(asdict(outcome)), encoding="utf-8")
