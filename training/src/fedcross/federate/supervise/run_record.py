"""The record of a federated run in the run folder on the coordinator's machine."""

from dataclasses import dataclass

RECORD = "federation.json"


@dataclass(frozen=True)
class Record:
    """Content of ``federation.json``.

    Attributes
    ----------
    run
        Identifier of the run at the server.
    configuration_sha256
        SHA-256 of its configuration.
    job
        Identifier of the last submitted job; empty before the first.
    aborted
        Whether a person aborted the run.
    """

    run: str
    configuration_sha256: str
    job: str = ""
    aborted: bool = False
