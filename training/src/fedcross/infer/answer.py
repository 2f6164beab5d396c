"""One request answered: however a segmentation ends, it becomes an exit code and an event.

Exit codes: 0 done, 2 something the user can put right, 1 anything unexpected, 130 interrupted, also
when whoever reads the events has gone away.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

from fedcross.errors import FedCrossError
from fedcross.infer.events import JsonReporter
from fedcross.runtime.reporting import PlainReporter, Reporter

if TYPE_CHECKING:
    from fedcross.infer.segment import Models, SegmentRequest

EXIT_DONE, EXIT_UNEXPECTED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
MESSAGE_LENGTH = 200


def answer(
    make_request: "Callable[[], SegmentRequest]",
    json_reporter: JsonReporter | None,
    reporter: Reporter | None = None,
    models: "Models | None" = None,
) -> int:
    """Segment and return the exit code; errors are told, not raised.

    Parameters
    ----------
    make_request
        Says what to do; what it raises is told as well.
    json_reporter
        Told everything, and in the end the result or the error; None tells people.
    reporter
        Who listens when there is no `json_reporter`; None prints plain lines on stderr.
    models
        As `fedcross.infer.segment.segment` takes them.
    """
    try:
        _segment(make_request, json_reporter, reporter or PlainReporter(sys.stderr), models)
    except FedCrossError as error:
        _tell(json_reporter, type(error).__name__, error.message, error.hint)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        _tell(json_reporter, "Interrupted", "Interrupted.", "")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last stop: the trace goes to the log
        traceback.print_exc()
        _tell(json_reporter, type(error).__name__, _short(error), "Please report it.")
        return EXIT_UNEXPECTED
    return EXIT_DONE


def _segment(
    make_request: "Callable[[], SegmentRequest]",
    json_reporter: JsonReporter | None,
    reporter: Reporter,
    models: "Models | None",
) -> None:
    listener = json_reporter or reporter
    request = make_request()
    # Only now: PyTorch takes a second to import.
    from fedcross.infer.output import SUMMARY
    from fedcross.infer.segment import fresh_models, segment

    summary = segment(request, listener, models or fresh_models)
    if json_reporter is None:
        reporter.log(f"Wrote {', '.join([*summary.files.values(), SUMMARY])}.")
    else:
        json_reporter.result(summary.files, SUMMARY)


def _tell(json_reporter: JsonReporter | None, kind: str, message: str, hint: str) -> None:
    """Say how it ended, in an event or on stderr."""
    if json_reporter is None:
        print(f"{message} {hint}".strip(), file=sys.stderr)
        return
    try:
        json_reporter.error(kind, message, hint)
    except BrokenPipeError:
        return  # nobody is left to be told


def _short(error: Exception) -> str:
    """Return the first line of an unexpected error's message, without the paths of system errors."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    lines = (text or "").splitlines()
    return f"Unexpected {type(error).__name__}: {lines[0] if lines else '?'}"[:MESSAGE_LENGTH]


@contextmanager
def events_on_stdout() -> Iterator[JsonReporter]:
    """Keep stdout for events alone: whatever else is printed, also by C libraries, goes to stderr."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    stream: TextIO = open(saved, "w", encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115
    try:
        with redirect_stdout(sys.stderr):
            yield JsonReporter(stream)
    finally:
        os.dup2(saved, 1)
        _close_quietly(stream)
        os.close(saved)


def _close_quietly(stream: TextIO) -> None:
    """Close a stream whose reader may be gone while something is left in its buffer."""
    try:
        stream.close()
    except BrokenPipeError:
        return
