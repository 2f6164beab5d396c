"""Answers one request with an exit code and a message, however the segmentation ends."""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from fedcross.contract.events import ResultEvent
from fedcross.contract.exits import DONE, UNEXPECTED, explain
from fedcross.contract.files import SUMMARY
from fedcross.contract.request import SegmentRequest
from fedcross.infer.child.events import JsonReporter
from fedcross.runtime.reporting import PlainReporter, Reporter

if TYPE_CHECKING:
    from fedcross.infer.models import Models
    from fedcross.infer.results.summary import Summary


def answer(
    make_request: Callable[[], SegmentRequest],
    json_reporter: JsonReporter | None,
    reporter: Reporter | None = None,
    models: "Models | None" = None,
    show: "Callable[[Summary], None] | None" = None,
) -> int:
    """Segment a volume and return the exit code; errors are reported, not raised.

    Parameters
    ----------
    make_request
        Returns the request; the errors that it raises are reported, too.
    json_reporter
        Receives all events, the last of which is the result or the error. None reports to people.
    reporter
        Receives stages and progress if `json_reporter` is None. None prints plain lines on stderr.
    models
        See `fedcross.infer.segment.segment`; None loads them for this request alone.
    show
        Receives the summary if `json_reporter` is None; None shows nothing but the names of the files.
    """
    people = reporter or PlainReporter(sys.stderr)
    try:
        summary = _segment(make_request(), json_reporter or people, models)
        if json_reporter is not None:
            json_reporter.write(ResultEvent(summary.files, SUMMARY))
        else:
            if show is not None:
                show(summary)
            maps = (each.file for each in summary.uncertainty_maps.values())
            names = dict.fromkeys([*summary.files.values(), *maps, SUMMARY])
            people.log(f"Wrote {', '.join(names)}.")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every error becomes an exit code
        code, event = explain(error)
        if code == UNEXPECTED:
            traceback.print_exc()
        with suppress(BrokenPipeError):  # nobody reads the message
            if json_reporter is None:
                print(event, file=sys.stderr)
            else:
                json_reporter.write(event)
        return code
    return DONE


def _segment(request: SegmentRequest, reporter: Reporter, models: "Models | None") -> "Summary":
    """Segment a volume; PyTorch is imported here, so that a wrong request does not wait for it."""
    from fedcross.infer.models import fresh_models
    from fedcross.infer.segment import segment

    return segment(request, reporter, models or fresh_models)
