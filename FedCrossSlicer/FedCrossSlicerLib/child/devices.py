"""Which graphics cards PyTorch can use. A child process looks: importing PyTorch takes seconds."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childEnvironment, childPython
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.errors import InferenceError


@dataclass(frozen=True)
class Gpu:
    """A graphics card.

    Attributes
    ----------
    device
        Its name on the command line of the child process, such as ``"cuda:0"``.
    name
        Its name in the panel.
    memoryGb
        Its memory in GB.
    """

    device: str
    name: str
    memoryGb: float


@dataclass(frozen=True)
class Devices:
    """The devices that can compute.

    Attributes
    ----------
    gpus
        The graphics cards that PyTorch can use; may be empty.
    status
        One sentence for the panel.
    torch
        PyTorch's version; None if PyTorch is not installed.
    """

    gpus: tuple[Gpu, ...]
    status: str
    torch: str | None


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
            devices = _parse(line)
            if devices is not None:
                return devices
        return _noDevices()

    def cancel(self) -> None:
        """Kill the child process."""
        if self._process is not None:
            self._process.cancel()


def devicesCommand() -> list[str]:
    """Return program and arguments that print the devices as one JSON object."""
    return [childPython(), "-m", "fedcross.infer.devices"]


def _parse(line: str) -> Devices | None:
    try:
        content: Mapping[str, Any] = json.loads(line)
        gpus = tuple(
            Gpu(str(gpu["device"]), str(gpu["name"]), float(gpu["memory_gb"]))
            for gpu in content["gpus"]
        )
        torch = content["torch"]
        return Devices(gpus, str(content["status"]), None if torch is None else str(torch))
    except (ValueError, TypeError, KeyError):
        return None


def _noDevices() -> Devices:
    return Devices((), _("Slicer's Python could not list the graphics cards."), None)
