"""Warm workers and the calls that they answer, without MRML and without Qt."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest

WORKER = """
import json, os, signal, sys, tempfile, time
for line in sys.stdin:
    mood, *rest = json.loads(line)
    print("said about " + mood, file=sys.stderr, flush=True)
    if mood == "die" or (mood == "die once" and not os.path.exists(rest[0])):
        if rest:
            open(rest[0], "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps({"event": "stage", "stage": str(os.getpid()), "message": mood}), flush=True)
    if mood == "hang":
        time.sleep(60)
    elif mood == "sorry":
        print(json.dumps({"event": "error", "type": "DataError", "message": "It is 2D."}), flush=True)
    elif mood == "litter":
        tempfile.mkdtemp()
        print(json.dumps({"event": "result", "folder": tempfile.gettempdir()}), flush=True)
    elif mood == "leave":
        raise SystemExit
    else:
        print(json.dumps({"event": "result", "said": [mood, *rest]}), flush=True)
    if mood == "answer and die":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def workers(loaded, temporary):
    from FedCrossSlicerLib.child.pool import Workers

    made = Workers(lambda: [sys.executable, "-c", WORKER], lambda: dict(os.environ))
    yield made
    made.end()


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def answer(call):
    until(lambda: not call.running)
    call.check()
    return call.events()


def failure(call):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError) as caught:
        answer(call)
    return caught.value


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_one_worker_answers_one_call_after_the_other(workers):
    first, second = workers.start(["one"]), None
    events = answer(first)
    second = workers.start(["größe 図", "two\nlines"])
    more = answer(second)
    assert second.pid == first.pid
    assert [event["event"] for event in (*events, *more)] == ["stage", "result"] * 2
    assert more[-1]["said"] == ["größe 図", "two\nlines"]
    assert (first.log, second.log) == ("said about one", "said about größe 図")


def test_what_a_later_call_says_is_not_the_earlier_ones(workers):
    first = workers.start(["one"])
    until(lambda: not first.running)
    assert failure(workers.start(["sorry"])).kind == "DataError"
    first.check()
    assert [event.get("message") for event in first.events()] == ["one", None]
    assert first.events() == []


def test_an_error_leaves_the_worker_alive(workers):
    first = workers.start(["sorry"])
    assert str(failure(first)) == "It is 2D."
    second = workers.start(["fine"])
    answer(second)
    assert second.pid == first.pid


def test_two_calls_at_once_have_a_worker_each_and_one_is_kept(workers):
    first, second = workers.start(["hang"]), workers.start(["fine"])
    assert first.pid != second.pid
    answer(second)
    third = workers.start(["fine"])
    assert third.pid == second.pid
    answer(third)
    first.cancel()


def test_calls_that_end_together_leave_one_worker(workers):
    first, second = workers.start(["one"]), workers.start(["two"])
    answer(first)
    answer(second)
    until(lambda: gone(first.pid))
    assert not gone(second.pid)


def test_a_worker_that_dies_idle_is_not_missed(workers):
    first = workers.start(["one"])
    answer(first)
    os.kill(first.pid, signal.SIGKILL)
    second = workers.start(["two"])
    assert [event["event"] for event in answer(second)] == ["stage", "result"]
    assert second.pid != first.pid
    assert "started again" not in second.log or gone(first.pid)


def test_a_worker_that_dies_right_after_its_answer_is_not_missed(workers):
    for _ in range(3):
        assert answer(workers.start(["answer and die"]))[-1]["event"] == "result"


def test_a_worker_that_dies_at_work_is_replaced_once(workers, tmp_path):
    call = workers.start(["die once", str(tmp_path / "died")])
    assert answer(call)[-1]["event"] == "result"
    assert (tmp_path / "died").exists()
    assert call.log.splitlines() == [
        "said about die once",
        "The segmentation process ended unexpectedly; it is started again.",
        "said about die once",
    ]


def test_a_second_death_is_one_sentence_with_the_last_words(workers, temporary):
    call = workers.start(["die"])
    assert str(failure(call)) == ("The segmentation process was killed (signal 9): said about die.")
    assert call.log.count("said about die") == 2
    assert list(temporary.iterdir()) == []


def test_a_worker_that_leaves_without_an_answer_twice_is_one_sentence(workers):
    told = str(failure(workers.start(["leave"])))
    assert told == "The segmentation process ended without a result."


def test_cancel_kills_the_worker_and_the_next_call_has_a_fresh_one(workers, temporary):
    call = workers.start(["hang"])
    until(call.events)
    call.cancel()
    call.cancel()
    assert gone(call.pid)
    assert list(temporary.iterdir()) == []
    assert not call.running
    assert str(failure(call)) == "The segmentation was cancelled."
    assert answer(workers.start(["fine"]))[-1]["event"] == "result"


def test_cancel_after_the_answer_leaves_the_worker_to_others(workers):
    first = workers.start(["one"])
    answer(first)
    first.cancel()
    assert not gone(first.pid)
    first.check()


def test_its_temporary_files_go_with_it(workers, temporary):
    folder = Path(answer(workers.start(["litter"]))[-1]["folder"])
    assert folder.parent == temporary
    assert list(folder.iterdir())
    workers.end()
    assert list(temporary.iterdir()) == []
    assert tempfile.gettempdir() == str(temporary)


def test_a_worker_that_cannot_be_started_is_one_sentence(loaded, temporary):
    from FedCrossSlicerLib.child.pool import Workers
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="could not be started"):
        Workers(lambda: ["/nowhere/python"], dict).start(["fine"])
    assert list(temporary.iterdir()) == []


def test_a_second_worker_that_cannot_be_started_is_one_sentence(loaded, temporary):
    from FedCrossSlicerLib.child.pool import Workers

    commands = iter([[sys.executable, "-c", WORKER], ["/nowhere/python"]])
    call = Workers(lambda: next(commands), lambda: dict(os.environ)).start(["die"])
    assert "could not be started" in str(failure(call))
    assert list(temporary.iterdir()) == []
