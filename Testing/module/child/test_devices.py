"""The probe for graphics cards, with a real child process and with recorded output."""

import time

from fedcross.contract.devices import Devices, Gpu
from fedcross.infer.devices import describe


class EndedProcess:
    """A process that has ended and left a log."""

    running = False

    def __init__(self, log):
        self.log = log


def poll(log):
    from FedCrossSlicerLib.child.devices import DeviceProbe

    probe = DeviceProbe(lambda *_: EndedProcess(log))
    probe.start()
    return probe.poll()


def test_a_real_child_finds_the_devices_in_the_background(loaded):
    from FedCrossSlicerLib.child.devices import DeviceProbe

    probe = DeviceProbe()
    probe.start()
    assert probe.poll() is None
    end = time.monotonic() + 60
    while (found := probe.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert found.torch.startswith("2.")
    assert found.status == describe(__import__("torch")).status


def test_graphics_cards_are_found_among_other_log_lines(loaded):
    devices = Devices("2.13", (Gpu("cuda:0", "Card", 24.0),), "GPU ready.")
    assert poll(f"a warning\n{devices.line()}\nbye") == devices


def test_output_without_devices_gives_a_status_sentence(loaded):
    for log in ("", "Traceback", "[]", '{"gpus": 7}'):
        found = poll(log)
        assert found.gpus == ()
        assert "could not list" in found.status


def test_a_python_that_cannot_be_started_gives_a_status_sentence(loaded):
    from FedCrossSlicerLib.child.devices import DeviceProbe
    from FedCrossSlicerLib.child.process import InferenceProcess

    probe = DeviceProbe(lambda *_: InferenceProcess(["/no/such/python"]))
    probe.start()
    assert "could not list" in probe.poll().status
