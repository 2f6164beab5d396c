"""A server of a federation in memory, as the coordinator sees it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcross.federate.supervise.followed_files import read_new_texts
from fedcross.federate.supervise.server_connection import (
    COMPLETED,
    FILES,
    KNOWN,
    RUNNING,
    JobNotRunningError,
)


class FakeServer:
    """A server in memory: a job ends at once, and its result is a run folder."""

    def __init__(self) -> None:
        self.statuses: dict[str, str] = {}
        self.files = {"config.json": "{}", "test.json": "{}"}
        self.is_running = False
        self.state = "finished"
        self.message = ""
        self.refused: set[str] = set()
        self.folder = Path("no such folder")  # the run folder at the server

    def get_server_start_time(self) -> str:
        return "Monday"

    def submit_job(self, job_folder: Path) -> str:
        name = f"job-{len(self.statuses)}"
        self.statuses[name] = RUNNING if self.is_running else COMPLETED
        return name

    def get_job_status(self, job_id: str) -> str:
        return self.statuses[job_id]

    def get_sites(self, job_id: str) -> Mapping[str, bool]:
        return {"s0": True, "s1": False}  # connected, and whether it takes part

    def send_command(
        self, job_id: str, topic: str, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        if not self.is_running:
            raise JobNotRunningError("not running")
        new = read_new_texts(self.folder, (data or {}).get(KNOWN))
        return {"rounds_done": 2, "rounds": 3, "message": "Round 2/3", FILES: new}

    def abort_job(self, job_id: str) -> None:
        self.statuses[job_id] = "FINISHED:ABORTED"

    def download_result(self, job_id: str, folder: Path) -> Path:
        made = folder / job_id / "workspace" / "result"
        made.mkdir(parents=True)
        for name, text in self.files.items():
            (made / name).write_text(text, encoding="utf-8")
        state = "refused" if job_id in self.refused else self.state
        outcome = {"state": state, "message": self.message, "rounds_done": 3, "rounds": 3}
        if self.state:
            (made / "outcome.json").write_text(json.dumps(outcome), encoding="utf-8")
        return folder / job_id
