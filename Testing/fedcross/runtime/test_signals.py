import signal
import threading

import pytest

from fedcross.runtime.signals import interrupt_on_terminate


def test_a_request_to_terminate_interrupts_the_block_and_the_old_handler_is_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupt_on_terminate():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_request_does_not_interrupt_the_cleaning_up() -> None:
    cleaned_up = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned_up.append(True)

    with pytest.raises(KeyboardInterrupt), interrupt_on_terminate():
        work()
    assert cleaned_up


def test_in_another_thread_nothing_changes() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def enter() -> None:
        with interrupt_on_terminate():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
