"""Warm workers and their requests, without MRML and without Qt."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fedcross.contract.events import ResultEvent, StageEvent

WORKER = """
import json, os, signal, sys, tempfile, time
from fedcross.contract.events import ErrorEvent, ResultEvent, StageEvent, event_line
def report(event):
    print(event_line(event), end="", flush=True)
for line in sys.stdin:
    behaviour, *rest = json.loads(line)
    print("log of " + behaviour, file=sys.stderr, flush=True)
    if behaviour == "die" or (behaviour == "die once" and not os.path.exists(rest[0])):
        if rest:
            open(rest[0], "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    report(StageEvent(str(os.getpid()), behaviour))
    if behaviour == "hang":
        time.sleep(60)
    elif behaviour == "sorry":
        report(ErrorEvent("DataError", "It is 2D.", ""))
    elif behaviour == "litter":
        tempfile.mkdtemp()
        report(ResultEvent({"folder": tempfile.gettempdir()}, ""))
    elif behaviour == "exit":
        raise SystemExit
    else:
        report(ResultEvent(dict(enumerate([behaviour, *rest])), ""))
    if behaviour == "finish and die":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def workers(loaded, temporary):
    from FedCrossSlicerLib.child.pool import WorkerPool

    made = WorkerPool(lambda: [sys.executable, "-c", WORKER], lambda: dict(os.environ))
    yield made
    made.end()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def wait(request):
    until(lambda: not request.running)
    request.check()
    return request.events()


def failure(request):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError) as caught:
        wait(request)
    return caught.value


def ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_one_worker_computes_one_request_after_the_other(workers):
    first, second = workers.start(["one"]), None
    events = wait(first)
    second = workers.start(["größe 図", "two\nlines"])
    more = wait(second)
    assert second.pid == first.pid
    assert [type(event) for event in (*events, *more)] == [StageEvent, ResultEvent] * 2
    assert list(more[-1].files.values()) == ["größe 図", "two\nlines"]
    assert (first.log, second.log) == ("log of one", "log of größe 図")


def test_events_and_errors_of_a_later_request_do_not_reach_an_earlier_one(workers):
    first = workers.start(["one"])
    until(lambda: not first.running)
    assert failure(workers.start(["sorry"])).kind == "DataError"
    first.check()
    assert [getattr(event, "message", None) for event in first.events()] == ["one", None]
    assert first.events() == []


def test_an_error_leaves_the_worker_alive(workers):
    first = workers.start(["sorry"])
    assert str(failure(first)) == "It is 2D."
    second = workers.start(["fine"])
    wait(second)
    assert second.pid == first.pid


def test_two_requests_at_once_get_one_worker_each_and_one_worker_is_kept(workers):
    first, second = workers.start(["hang"]), workers.start(["fine"])
    assert first.pid != second.pid
    wait(second)
    third = workers.start(["fine"])
    assert third.pid == second.pid
    wait(third)
    first.cancel()


def test_after_two_requests_at_once_one_worker_is_left(workers):
    first, second = workers.start(["one"]), workers.start(["two"])
    wait(first)
    wait(second)
    until(lambda: ended(first.pid))
    assert not ended(second.pid)


def test_an_idle_worker_that_dies_is_replaced(workers):
    first = workers.start(["one"])
    wait(first)
    os.kill(first.pid, signal.SIGKILL)
    second = workers.start(["two"])
    assert [type(event) for event in wait(second)] == [StageEvent, ResultEvent]
    assert second.pid != first.pid
    assert "started again" not in second.log or ended(first.pid)


def test_a_worker_that_dies_right_after_its_result_is_replaced(workers):
    for _ in range(3):
        assert isinstance(wait(workers.start(["finish and die"]))[-1], ResultEvent)


def test_a_worker_that_dies_during_a_request_is_replaced_once(workers, tmp_path):
    request = workers.start(["die once", str(tmp_path / "died")])
    assert isinstance(wait(request)[-1], ResultEvent)
    assert (tmp_path / "died").exists()
    until(lambda: len(request.log.splitlines()) == 3)  # a thread of its own reads the log
    assert request.log.splitlines() == [
        "log of die once",
        "The segmentation process ended unexpectedly; it is started again.",
        "log of die once",
    ]


def test_a_second_death_raises_one_sentence_that_quotes_the_log(workers, temporary):
    request = workers.start(["die"])
    assert str(failure(request)) == ("The segmentation process was killed (signal 9): log of die.")
    assert request.log.count("log of die") == 2
    assert list(temporary.iterdir()) == []


def test_a_worker_that_exits_twice_without_a_result_raises_one_sentence(workers):
    message = str(failure(workers.start(["exit"])))
    assert message == "The segmentation process ended without a result."


def test_cancel_kills_the_worker_and_the_next_request_gets_a_new_one(workers, temporary):
    request = workers.start(["hang"])
    until(request.events)
    request.cancel()
    request.cancel()
    assert ended(request.pid)
    assert list(temporary.iterdir()) == []
    assert not request.running
    assert str(failure(request)) == "The segmentation was cancelled."
    assert isinstance(wait(workers.start(["fine"]))[-1], ResultEvent)


def test_cancel_after_the_result_keeps_the_worker(workers):
    first = workers.start(["one"])
    wait(first)
    first.cancel()
    assert not ended(first.pid)
    first.check()


def test_a_workers_temporary_files_are_removed_with_it(workers, temporary):
    folder = Path(wait(workers.start(["litter"]))[-1].files["folder"])
    assert folder.parent == temporary
    assert list(folder.iterdir())
    workers.end()
    assert list(temporary.iterdir()) == []
    assert tempfile.gettempdir() == str(temporary)


def test_a_worker_that_cannot_be_started_raises_one_sentence(loaded, temporary):
    from FedCrossSlicerLib.child.pool import WorkerPool
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="could not be started"):
        WorkerPool(lambda: ["/nowhere/python"], dict).start(["fine"])
    assert list(temporary.iterdir()) == []


def test_a_second_worker_that_cannot_be_started_raises_one_sentence(loaded, temporary):
    from FedCrossSlicerLib.child.pool import WorkerPool

    commands = iter([[sys.executable, "-c", WORKER], ["/nowhere/python"]])
    request = WorkerPool(lambda: next(commands), lambda: dict(os.environ)).start(["die"])
    assert "could not be started" in str(failure(request))
    assert list(temporary.iterdir()) == []
