"""What there is to compute with, asked in a process of its own: importing PyTorch takes seconds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from FedCrossSlicerLib.child.command import childEnvironment, childPython
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.errors import InferenceError


@dataclass(frozen=True)
class Gpu:
    """A graphics card: its name for the child, its name for people, its memory."""

    device: str
    name: str
    memoryGb: float


@dataclass(frozen=True)
class Devices:
    """The graphics cards that can be used, the state in words, and PyTorch's version if it is there."""

    gpus: tuple[Gpu, ...]
    status: str
    torch: str | None


class DeviceProbe:
    """Asks the child's Python, in the background.

    Parameters
    ----------
    starter
        Starts a process; replaced in tests.
    """

    def __init__(self, starter: Callable[..., Any] = InferenceProcess) -> None:
        self._starter = starter
        self._process: Any = None

    def start(self) -> None:
        """Begin to ask; where no process can be started, `poll` says so."""
        command: Sequence[str] = [childPython(), "-m", "fedcross.infer.devices"]
        try:
            self._process = self._starter(command, childEnvironment())
        except InferenceError:
            self._process = None

    def poll(self) -> Devices | None:
        """Return what was found, or None as long as that is not known."""
        if self._process is None:
            return _unknown()
        if self._process.running:
            return None
        for line in reversed(self._process.log.splitlines()):
            found = _understood(line)
            if found is not None:
                return found
        return _unknown()

    def cancel(self) -> None:
        """Stop asking."""
        if self._process is not None:
            self._process.cancel()


def _understood(line: str) -> Devices | None:
    try:
        said: Mapping[str, Any] = json.loads(line)
        gpus = tuple(
            Gpu(str(gpu["device"]), str(gpu["name"]), float(gpu["memory_gb"]))
            for gpu in said["gpus"]
        )
        torch = said["torch"]
        return Devices(gpus, str(said["status"]), None if torch is None else str(torch))
    except (ValueError, TypeError, KeyError):
        return None


def _unknown() -> Devices:
    return Devices((), _("Slicer's Python does not say which graphics cards there are."), None)
