"""The search for graphics cards, which runs in the background while the panel is open."""

from collections.abc import Callable

from fedcross.contract.devices import Devices
from FedCrossSlicerLib.child.devices import DeviceProbe
from FedCrossSlicerLib.panel.widgets.timer import PollTimer


class DeviceSearch:
    """Searches for graphics cards once, and again after packages were installed.

    Parameters
    ----------
    onFound
        Called with the devices when a search has ended.
    """

    def __init__(self, onFound: Callable[[Devices], None]) -> None:
        self._onFound = onFound
        self._probe: DeviceProbe | None = None
        self._devices: Devices | None = None
        self._timer = PollTimer(self._poll)

    @property
    def torchFound(self) -> bool:
        """Whether the last search has found PyTorch."""
        return self._devices is not None and bool(self._devices.torch)

    def start(self) -> None:
        """Start the first search; later calls change nothing."""
        if self._probe is None:
            self._probe = DeviceProbe()
            self._probe.start()
            self._timer.start()

    def restart(self) -> None:
        """Search again: packages that were installed since may support other graphics cards."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop the search."""
        self._timer.stop()
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def release(self) -> None:
        """Stop the search and disconnect its timer."""
        self.stop()
        self._timer.release()

    def _poll(self) -> None:
        self._devices = self._probe.poll() if self._probe is not None else None
        if self._devices is not None:
            self._timer.stop()
            self._onFound(self._devices)
