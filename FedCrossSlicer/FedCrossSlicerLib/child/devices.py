"""Which graphics cards PyTorch can use. A child process looks: importing PyTorch takes seconds."""

from collections.abc import Callable

from slicer.i18n import tr as _

from fedcross.contract.devices import MODULE, Devices, read_devices
from FedCrossSlicerLib.child.command import childEnvironment, childPython
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.errors import InferenceError


class DeviceProbe:
    """Finds the devices in a child process.

    Parameters
    ----------
    starter
        Starts a process with a command and an environment; tests replace it.
    """

    def __init__(self, starter: Callable[..., InferenceProcess] = InferenceProcess) -> None:
        self._starter = starter
        self._process: InferenceProcess | None = None

    def start(self) -> None:
        """Start the child process; if that fails, `poll` returns no graphics card."""
        try:
            self._process = self._starter(devicesCommand(), childEnvironment())
        except InferenceError:
            self._process = None

    def poll(self) -> Devices | None:
        """Return the devices; None while the child process is still looking."""
        if self._process is None:
            return _noDevices()
        if self._process.running:
            return None
        for line in reversed(self._process.log.splitlines()):
            devices = read_devices(line)
            if devices is not None:
                return devices
        return _noDevices()

    def cancel(self) -> None:
        """Kill the child process."""
        if self._process is not None:
            self._process.cancel()


def devicesCommand() -> list[str]:
    """Return program and arguments that print the devices as one line, see `read_devices`."""
    return [childPython(), "-m", MODULE]


def _noDevices() -> Devices:
    return Devices(None, (), _("Slicer's Python could not list the graphics cards."))
