"""How long a supervisor waits, and how often it tries."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Waiting times in seconds, and the limit of attempts.

    Attributes
    ----------
    poll_s
        Between two requests.
    server_s
        Until a server that does not answer is given up.
    start_s
        Until a running job that does not answer is given up: every site imports PyTorch before it
        begins, and FLARE needs time to end a job.
    connect_s
        For the sites to connect before a job is submitted.
    join_s
        For a connected site to take part in the job, before a new job is submitted.
    attempts
        Largest number of jobs in a row that finish no round.
    """

    poll_s: float = 5.0
    server_s: float = 3600.0
    start_s: float = 300.0
    connect_s: float = 60.0
    join_s: float = 60.0
    attempts: int = 5
