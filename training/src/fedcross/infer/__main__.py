"""The child process: ``python -m fedcross.infer --bundle B --image I --out D [--events]``.

With ``--events`` stdout carries JSON lines (`fedcross.infer.events`) and nothing else; all the rest
goes to stderr. Exit codes are those of `fedcross.infer.answer`. With ``--worker`` it stays and does one
volume after the other (`fedcross.infer.worker`).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fedcross.backends.factory import BACKENDS
from fedcross.errors import ConfigError
from fedcross.infer.answer import answer, events_on_stdout
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.signals import terminable
from fedcross.uncertainty.measures import MEASURES

if TYPE_CHECKING:
    from fedcross.infer.segment import SegmentRequest


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
    with terminable():
        if not events:
            return answer(lambda: request, None, reporter)
        with events_on_stdout() as json_reporter:
            return answer(lambda: request, json_reporter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the child process and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with terminable():
        if given[:1] == ["--worker"]:
            from fedcross.infer.worker import work

            return work(given[1:], parse)
        if "--events" not in given:
            return answer(lambda: parse(given), None)
        with events_on_stdout() as json_reporter:
            return answer(lambda: parse(given), json_reporter)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"The command line is wrong: {message}.", "See --help.")


def parse(arguments: Sequence[str]) -> "SegmentRequest":
    """Return what the words of a command line ask for.

    Raises
    ------
    ConfigError
        If they are wrong.
    """
    parser = _Parser(
        prog="python -m fedcross.infer",
        description="Segment a volume.",
        epilog="With --worker instead, it stays and reads such command lines from stdin.",
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder or .zip")
    parser.add_argument("--image", type=Path, required=True, help="file or DICOM series folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--measure", choices=MEASURES, default="std", help="of uncertainty")
    parser.add_argument("--device", default="auto", help="auto, cpu, or cuda:0")
    parser.add_argument("--backend", default="auto", help=", ".join(BACKENDS))
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16, or fp16")
    parser.add_argument("--save-probabilities", action="store_true")
    parser.add_argument("--save-members", action="store_true")
    parser.add_argument("--for-viewer", action="store_true", help="all maps, outlines, distances")
    parser.add_argument("--roi", type=Path, help="JSON file of a box in the world")
    parser.add_argument(
        "--localise",
        action="store_true",
        help="read only near the structures, as first seen",
    )
    parser.add_argument("--events", action="store_true", help="JSON lines on stdout")
    options = vars(parser.parse_args(arguments))
    del options["events"]
    from fedcross.infer.segment import SegmentRequest

    return SegmentRequest(**options)


if __name__ == "__main__":
    sys.exit(main())
