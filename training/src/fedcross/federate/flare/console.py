"""What a FLARE process prints: all of it goes to a file in the kit, a few sentences to the terminal.

FLARE prints a line for every message and every poll, and errors while all is well. A line is shown only
if it is one of those below, or comes from this package.
"""

import logging
import re
import subprocess
import threading
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from fedcross.contract.plain_text import plain_text
from fedcross.federate.kits.startup_kit import Kit

CONSOLE = "console.log"
MAX_BYTES, OLDER_FILES = 20 * 2**20, 2
LONGEST_LINE = 16 * 2**10
# Patterns of FLARE's lines, and what the terminal shows for each; \1 is the pattern's first group.
SENTENCES = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (r" - INFO - Server started$", "The server is ready."),
        (r" - INFO - Client: New client (\S+)@\S+ joined\.", r"\1 is connected."),
        (r" - INFO - Client Name:(\S+) left\.", r"\1 has left."),
        (r" - INFO - Remove the dead Client\. Name: (\S+)\s", r"\1 does not answer any more."),
        (r" - Started run: \S+ for clients: (\S+)$", r"A job begins with \1."),
        (r" - INFO - Server app stopped\.$", "The job has ended."),
        (r" - INFO - Successfully registered client:\S+ for project", "Connected to the server."),
        (r" - INFO - Client (\S+) disabled\.", r"\1 is revoked."),
        (r" - INFO - Client (\S+) enabled\.", r"\1 is accepted again."),
        (
            r" - WARNING - Reject disabled client registration: (\S+)$",
            r"\1 is revoked and refused.",
        ),
        (
            r" - ERROR - registration rejected: Client '\S+' is disabled$",
            "The server refuses this hospital: the coordinator has revoked it.",
        ),
        (r" - INFO - Retrying \[\S+ ACTIVE grpc:", "The server does not answer; trying again."),
        (r" - INFO - Starting client app\.", "A job begins."),
        (r" - INFO - run \(\S+\): child worker process finished", "The job has ended."),
        (r" - federation - (?:INFO|WARNING|ERROR) - (.*)$", r"\1"),
    )
)


class Follower:
    """Reads the output of a process; tells a sentence that repeats only once.

    Parameters
    ----------
    path
        File that receives every line. At 20 MB it is renamed to ``.1``, and that to ``.2``.
    log
        Receives the sentences for the terminal.
    """

    def __init__(self, path: Path, log: Callable[[str], None]) -> None:
        self._file = _QuietFile(path, maxBytes=MAX_BYTES, backupCount=OLDER_FILES, delay=True)
        self._log = log
        self._last = ""

    def read(self, output: IO[bytes]) -> None:
        """Read to the end of the output; a longer line counts as several."""
        try:
            while line := output.readline(LONGEST_LINE):
                text = line.decode("utf-8", errors="replace").rstrip("\r\n")
                self._file.emit(logging.makeLogRecord({"msg": text}))
                sentence = sentence_for(text)
                if sentence not in ("", self._last):
                    self._log(sentence)
                    self._last = sentence
        finally:
            self._file.close()
            output.close()


class _QuietFile(RotatingFileHandler):
    """A file that says nothing if it cannot be written: the process must go on with a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name in logging
        """Ignore the error."""


def sentence_for(line: str) -> str:
    """The sentence that the terminal shows for a line of a FLARE process; empty for most lines."""
    for pattern, sentence in SENTENCES:
        if found := pattern.search(line):
            return plain_text(found.expand(sentence))
    return ""


def follow_output(
    process: subprocess.Popen[bytes], kit: Kit, log: Callable[[str], None]
) -> threading.Thread:
    """Begin to read the output of a kit's process in a thread; it ends with the output.

    Parameters
    ----------
    process
        The process; its standard output must be a pipe.
    kit
        The kit; receives the file ``console.log``.
    log
        Receives the sentences for the terminal.
    """
    assert process.stdout is not None
    follower = Follower(kit.path / CONSOLE, log)
    thread = threading.Thread(target=follower.read, args=(process.stdout,), daemon=True)
    thread.start()
    return thread
