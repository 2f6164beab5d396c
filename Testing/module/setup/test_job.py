"""Jobs that wait for commands in the background."""

import json
import sys
import time

import pytest


@pytest.fixture
def lib(loaded):
    from FedCrossSlicerLib.setup import job

    return job


def finish(job):
    end = time.monotonic() + 30
    while job.running:
        assert time.monotonic() < end
        job.poll()
        time.sleep(0.01)
    return job.result()


def python(code):
    return [sys.executable, "-c", code]


def test_a_job_gets_the_lines_of_each_command_and_its_result_is_returned(lib):
    def add():
        first = yield python("print(3)")
        second = yield python(f"print('noise'); print({first[-1]} + 4)")
        return [first, second]

    assert finish(lib.BackgroundJob(add())) == [["3"], ["noise", "7"]]


def test_a_job_without_a_command_ends_at_the_first_poll(lib):
    def nothing():
        yield from ()
        return 5

    job = lib.BackgroundJob(nothing())
    assert job.running
    job.poll()
    assert not job.running
    assert job.result() == 5


def test_a_poll_never_waits_and_a_cancelled_command_is_killed(lib):
    def wait():
        yield python("import time; time.sleep(60)")

    job = lib.BackgroundJob(wait())
    for _ in range(20):
        began = time.monotonic()
        job.poll()
        assert time.monotonic() - began < 1
    assert job.running
    process = job._process
    job.cancel()
    assert not job.running
    assert not process.running


def test_a_command_that_does_not_end_raises_one_sentence(lib, monkeypatch):
    from FedCrossSlicerLib.errors import InstallError

    def wait():
        yield python("import time; time.sleep(60)")

    monkeypatch.setattr(lib, "TIMEOUT_S", 0.2)
    job = lib.BackgroundJob(wait())
    with pytest.raises(InstallError, match=r"could not be run\. See the log"):
        finish(job)
    assert not job._process.running


def test_a_command_that_cannot_be_started_raises_one_sentence(lib):
    from FedCrossSlicerLib.errors import InstallError

    def missing():
        yield ["/nowhere/python"]

    with pytest.raises(InstallError, match="could not be run"):
        finish(lib.BackgroundJob(missing()))


def test_an_unexpected_error_ends_the_job(lib):
    def broken():
        yield python("pass")
        raise KeyError("x")

    job = lib.BackgroundJob(broken())
    with pytest.raises(KeyError):
        finish(job)
    assert not job.running


def test_the_last_line_that_can_be_read_counts(lib):
    def first(line):
        return json.loads(line)[0]

    code = "print('[1]'); print('[2]'); print('a warning')"
    assert finish(lib.BackgroundJob(lib.lineOf(python(code), first))) == 2


def test_without_such_a_line_one_sentence_is_raised(lib):
    from FedCrossSlicerLib.errors import InstallError

    with pytest.raises(InstallError, match="could not be run"):
        finish(lib.BackgroundJob(lib.lineOf(python("print('x')"), json.loads)))
