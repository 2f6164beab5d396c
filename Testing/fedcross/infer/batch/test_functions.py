"""Functions called for many cases, each process with models of its own."""

import os
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from child_functions import misbehave, process_of, wait
from fedcross.errors import ConfigError, DataError, DeviceError
from fedcross.infer.batch.function_worker import FunctionWorker
from fedcross.infer.batch.functions import call_for_each, check_number
from fedcross.runtime.process import is_running


def test_one_worker_calls_in_this_process_and_in_order() -> None:
    found = list(call_for_each(process_of, ["a", "b", "c"], 1))
    assert [(index, case) for index, (case, _, _) in found] == [(0, "a"), (1, "b"), (2, "c")]
    assert {pid for _, (_, pid, _) in found} == {os.getpid()}
    assert len({models for _, (_, _, models) in found}) == 1
    assert list(call_for_each(process_of, [], 4)) == []


def test_two_workers_call_every_case_once_in_two_other_processes() -> None:
    found = dict(call_for_each(process_of, list("abcdef"), 2))
    assert [found[index][0] for index in range(6)] == list("abcdef")
    processes = {pid for _, pid, _ in found.values()}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert not any(map(is_running, processes))


def test_an_error_in_the_process_is_raised_here_and_the_process_goes_on() -> None:
    worker = FunctionWorker()
    try:
        with pytest.raises(DataError, match=r"The image is damaged\. Copy it again\."):
            worker.call(misbehave, "refuse")
        with pytest.raises(RuntimeError, match="KeyError: 'missing'"):
            worker.call(misbehave, "bug")
        assert worker.call(misbehave, "good") == "ok"
        with pytest.raises(DeviceError, match="has ended with code 9, as it does when memory"):
            worker.call(misbehave, "die")
    finally:
        worker.close()
    with pytest.raises(DeviceError, match="Interrupted"):
        worker.call(misbehave, "good")


def test_a_process_that_computes_is_ended_at_once_by_close(tmp_path: Path) -> None:
    worker, file = FunctionWorker(), tmp_path / "pid"
    errors: list[DeviceError] = []

    def call() -> None:
        try:
            worker.call(wait, file)
        except DeviceError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until = time.monotonic() + 100
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process = int(file.read_text())
    assert is_running(process)
    worker.close()
    assert not is_running(process)
    thread.join()
    assert len(errors) == 1


def test_the_processes_are_ended_when_the_iteration_is_closed() -> None:
    with closing(call_for_each(process_of, list("abcdef"), 2)) as found:
        _, (_, process, _) = next(found)
    assert not is_running(process)


@pytest.mark.parametrize("workers", [0, -2])
def test_a_number_below_one_is_refused(workers: int) -> None:
    with pytest.raises(ConfigError, match=f"must be at least 1, got {workers}"):
        check_number(workers)
