import signal
import subprocess
import sys
import threading

import pytest

from fedcross.runtime.signals import interrupt_on_terminate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")

BEGIN = """
import signal
from fedcross.runtime.signals import interrupt_on_terminate

before = signal.getsignal(signal.SIGTERM)
"""
INTERRUPTED = """
try:
    with interrupt_on_terminate():
        signal.raise_signal(signal.SIGTERM)
        print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGTERM) is before)
"""
CLEANS_UP = """
try:
    with interrupt_on_terminate():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            print("cleaned up")
except KeyboardInterrupt:
    print("interrupted")
"""


def printed(script: str) -> list[str]:
    """Run a script in a process of its own and return its lines."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_request_to_terminate_interrupts_the_block_and_the_old_handler_is_back() -> None:
    assert printed(INTERRUPTED) == ["interrupted True"]


def test_a_second_request_does_not_interrupt_the_cleaning_up() -> None:
    assert printed(CLEANS_UP) == ["cleaned up", "interrupted"]


def test_in_another_thread_nothing_changes() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def enter() -> None:
        with interrupt_on_terminate():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


BUSY = """
import hashlib, signal
from fedcross.runtime.signals import end_soon_after_interrupt

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
with end_soon_after_interrupt(0.1):
    print("computing", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # an hour within one instruction
"""
QUICK = """
from fedcross.runtime.signals import end_soon_after_interrupt

with end_soon_after_interrupt(60):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
print("goes on", signal.set_wakeup_fd(-1))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_program_that_computes_within_one_instruction(number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "computing\n"
        program.send_signal(number)
        _, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (130, "Interrupted.\n")


def test_a_block_that_ends_by_itself_after_a_signal_goes_on() -> None:
    assert printed(QUICK) == ["interrupted", "goes on -1"]
