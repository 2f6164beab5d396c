"""The child process: ``python -m fedcross.infer --bundle B --image I --out D [--events]``.

With ``--events`` stdout carries JSON lines (`fedcross.infer.events`) and nothing else; all the rest
goes to stderr. Exit codes: 0 done, 2 something the user can put right, 1 anything unexpected,
130 interrupted, also when whoever reads the events has gone away.
"""

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from fedcross.errors import ConfigError, FedCrossError
from fedcross.infer.backends import BACKENDS
from fedcross.infer.events import JsonReporter, PlainReporter, Reporter
from fedcross.method.uncertainty import MEASURES

if TYPE_CHECKING:
    from fedcross.infer.segment import SegmentRequest

EXIT_DONE, EXIT_UNEXPECTED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
MESSAGE_LENGTH = 200


def run(
    request: "SegmentRequest", *, events: bool = False, reporter: Reporter | None = None
) -> int:
    """Segment and return the exit code; errors are told, not raised.

    Parameters
    ----------
    request
        What to do.
    events
        Speak in JSON lines on stdout.
    reporter
        Who listens when `events` is off; None prints plain lines on stderr.
    """
    with _terminable():
        return _run(lambda: request, events, reporter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the child process and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _terminable():
        return _run(lambda: _parse(given), "--events" in given, None)


def _run(
    make_request: Callable[[], "SegmentRequest"], events: bool, reporter: Reporter | None
) -> int:
    """Segment and turn every ending into an exit code and, if asked for, an event."""
    with _json_reporter(events) as json_reporter:
        try:
            _segment(make_request, json_reporter, reporter or PlainReporter(sys.stderr))
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
    make_request: Callable[[], "SegmentRequest"],
    json_reporter: JsonReporter | None,
    reporter: Reporter,
) -> None:
    listener = json_reporter or reporter
    request = make_request()
    # Only now: PyTorch takes a second to import.
    from fedcross.infer.output import SUMMARY
    from fedcross.infer.segment import segment

    summary = segment(request, listener)
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
def _json_reporter(events: bool) -> Iterator[JsonReporter | None]:
    """Keep stdout for events alone: whatever else is printed, also by C libraries, goes to stderr."""
    if not events:
        yield None
        return
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


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to terminate unwind the stack as Ctrl-C does, so that nothing is left behind."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only there can signals be handled
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"The command line is wrong: {message}.", "See --help.")


def _parse(arguments: Sequence[str]) -> "SegmentRequest":
    parser = _Parser(prog="python -m fedcross.infer", description="Segment a volume.")
    parser.add_argument("--bundle", type=Path, required=True, help="folder or .zip")
    parser.add_argument("--image", type=Path, required=True, help="file or DICOM series folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--measure", choices=MEASURES, default="std", help="of uncertainty")
    parser.add_argument("--device", default="auto", help="auto, cpu, or cuda:0")
    parser.add_argument("--backend", default="auto", help=", ".join(BACKENDS))
    parser.add_argument("--precision", default="auto", help="auto, fp32, or bf16")
    parser.add_argument("--save-probabilities", action="store_true")
    parser.add_argument("--save-members", action="store_true")
    parser.add_argument("--for-viewer", action="store_true", help="all maps, outlines, distances")
    parser.add_argument("--roi", type=Path, help="JSON file of a box in the world")
    parser.add_argument("--events", action="store_true", help="JSON lines on stdout")
    options = vars(parser.parse_args(arguments))
    del options["events"]
    from fedcross.infer.segment import SegmentRequest

    return SegmentRequest(**options)


if __name__ == "__main__":
    sys.exit(main())
