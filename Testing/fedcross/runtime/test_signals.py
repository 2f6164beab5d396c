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
