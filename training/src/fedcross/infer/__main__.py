"""The child process: ``python -m fedcross.infer --bundle B --image I --out D [--events]``.

With ``--events`` stdout carries only events (`fedcross.contract.events`); everything else goes to
stderr. The exit codes are those of `fedcross.contract.exits`. With ``--worker`` the process segments
one volume after another (`fedcross.infer.child.worker`).
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fedcross.contract.request import EVENTS_FLAG, WORKER_FLAG, SegmentRequest, parse_request
from fedcross.infer.child.answer import answer
from fedcross.infer.child.events import events_on_stdout
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.signals import end_soon_after_interrupt, interrupt_on_terminate

if TYPE_CHECKING:
    from fedcross.infer.results.summary import Summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the child process and return its exit code.

    Parameters
    ----------
    arguments
        Words of the command line; None takes those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == [WORKER_FLAG]:
        from fedcross.infer.child.worker import work

        with interrupt_on_terminate():
            return work(words[1:])
    return run(lambda: parse_request(words), events=EVENTS_FLAG in words)


def run(
    make_request: Callable[[], SegmentRequest],
    *,
    events: bool = False,
    reporter: Reporter | None = None,
    show: "Callable[[Summary], None] | None" = None,
) -> int:
    """Segment a volume and return the exit code; errors are reported, not raised.

    Parameters
    ----------
    make_request
        Returns the request; the errors that it raises are reported, too.
    events
        Whether to write events to stdout.
    reporter
        Receives stages and progress without `events`. None prints plain lines on stderr.
    show
        Receives the summary without `events`.
    """
    with end_soon_after_interrupt(), interrupt_on_terminate():
        if not events:
            return answer(make_request, None, reporter, show=show)
        with events_on_stdout() as json_reporter:
            return answer(make_request, json_reporter)


if __name__ == "__main__":
    sys.exit(main())
