"""A child process: events, log, errors, cancelling; without MRML and without Qt."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fedcross.contract.events import ErrorEvent, ResultEvent, StageEvent, event_line
from fedcross.contract.exits import BAD_INPUT

STAGE, RESULT = StageEvent("read", "Reading"), ResultEvent({}, "summary")


@pytest.fixture
def run(loaded):
    from FedCrossSlicerLib.child.process import InferenceProcess

    def start(code):
        return InferenceProcess([sys.executable, "-c", code])

    return start


def printing(*events):
    """Source code that prints events."""
    return f"print({''.join(map(event_line, events))!r}, end='', flush=True)\n"


def wait(process, seconds=20.0):
    end = time.monotonic() + seconds
    while process.running:
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def failure(process):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError) as caught:
        wait(process).check()
    return caught.value


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


def ended(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


def test_events_arrive_in_order_and_a_result_raises_no_error(run):
    process = run(printing(STAGE, RESULT))
    wait(process).check()
    assert process.events() == [STAGE, RESULT]
    assert process.events() == []


def test_output_that_is_not_an_event_is_logged(run):
    process = run("""print("hello"); print("[1]"); print('{"event": 3}')""")
    assert str(failure(process)) == "The segmentation process ended without a result."
    assert process.events() == []
    assert process.log == 'hello\n[1]\n{"event": 3}'


def test_broken_utf_8_does_not_stop_the_reader(run):
    line = event_line(ResultEvent({}, "é")).encode()
    output = b"\xff\xfe\n" + line.replace(rb"\u00e9", "é".encode())
    process = run(f"import sys; sys.stdout.buffer.write({output!r})")
    wait(process).check()
    assert process.events() == [ResultEvent({}, "é")]


def test_an_error_event_is_raised_with_its_message_and_hint(run):
    event = ErrorEvent("DataError", "It is 2D.", "Use 3D.")
    error = failure(run(f"{printing(event)}raise SystemExit({BAD_INPUT})"))
    assert (str(error), error.kind) == ("It is 2D. Use 3D.", "DataError")


def test_the_error_of_a_crash_quotes_the_last_log_line(run):
    error = failure(run("raise ModuleNotFoundError(\"No module named 'torch'\")"))
    assert str(error) == (
        "The segmentation process stopped (code 1): ModuleNotFoundError: No module named 'torch'."
    )
    assert "Traceback" in error.log


def test_a_crash_that_only_the_launcher_reports_is_recognised(run):
    """PythonSlicer writes this line when its Python was killed, and ends with code 1."""
    code = (
        "import sys; print('Reading', file=sys.stderr); "
        "print('error: [/opt/slicer/bin/python-real] exit abnormally - Report the problem.', "
        "file=sys.stderr); raise SystemExit(1)"
    )
    assert str(failure(run(code))) == (
        "The segmentation process was killed or crashed: Reading. Usually memory ran out."
    )


def test_a_program_that_does_not_exist_raises_one_sentence(loaded):
    from FedCrossSlicerLib.child.process import InferenceProcess
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="could not be started: No such file"):
        InferenceProcess(["/nowhere/python"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_child_raises_one_sentence(run):
    process = run("import time; time.sleep(60)")
    os.kill(process.pid, signal.SIGKILL)
    assert str(failure(process)) == (
        "The segmentation process was killed (signal 9) without a message."
    )


TWO_GENERATIONS = """
import subprocess, sys, time
from fedcross.contract.events import StageEvent, event_line
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(event_line(StageEvent(str(child.pid), "")), end="", flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cancel_kills_the_childs_children_too(run):
    process = run(TWO_GENERATIONS + "time.sleep(60)")
    while not (events := process.events()):
        time.sleep(0.02)
    process.cancel()
    assert ended(process.pid)
    assert ended(int(events[0].stage))
    assert str(failure(process)) == "The segmentation was cancelled."


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_orphan_that_holds_the_pipe_open_is_killed(run, monkeypatch):
    from FedCrossSlicerLib.child import process as process_module

    monkeypatch.setattr(process_module, "PIPE_TIMEOUT_S", 0.2)
    process = run(TWO_GENERATIONS + "raise SystemExit(1)")
    failure(process)
    assert ended(int(process.events()[0].stage))


def test_cancel_after_the_end_is_harmless(run):
    process = wait(run(printing(RESULT)))
    process.cancel()
    process.cancel()


def test_on_windows_no_console_window_appears_when_the_tree_is_killed(run, monkeypatch):
    from types import SimpleNamespace

    from FedCrossSlicerLib.child import process

    runs = []
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **keywords: runs.append((command, keywords))
    )
    process._killTree(SimpleNamespace(pid=4711))
    ((command, keywords),) = runs
    assert command == ["taskkill", "/PID", "4711", "/T", "/F"]
    assert keywords["creationflags"] == 0x08000000


def test_a_line_of_brackets_is_no_event_and_the_next_one_arrives(run):
    code = "print('[' * 150_000, flush=True)\n" + printing(RESULT)
    process = wait(run(code))
    assert process.events() == [RESULT]
    process.check()
    assert len(process.log) <= 4000


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_line_without_end_does_not_grow(run, stream):
    code = f"import sys\nfor _ in range(2000): sys.{stream}.write('x' * 10_000)\n"
    process = wait(run(code))
    assert 0 < len(process.log) <= 4000


@pytest.mark.skipif(sys.platform == "win32", reason="pipes cannot be watched on Windows")
def test_a_grandchild_of_another_session_does_not_hold_the_reading_threads(run):
    code = (
        "import subprocess, sys\n"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True).pid, file=sys.stderr, flush=True)\n" + printing(RESULT)
    )
    process = wait(run(code))
    try:
        for reader in process._readers:
            reader.join(20)
        assert not any(reader.is_alive() for reader in process._readers)
    finally:
        os.kill(int(process.log.split()[0]), signal.SIGKILL)


def test_more_events_than_the_queue_holds_all_arrive(run):
    code = f"for _ in range(12_000): print({event_line(STAGE)!r}, end='')\n" + printing(RESULT)
    process, arrived = run(code), []
    while process.running:
        arrived += process.events()
    arrived += process.events()
    assert len(arrived) == 12_001
    assert arrived[-1] == RESULT
