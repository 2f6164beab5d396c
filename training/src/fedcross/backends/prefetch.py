"""Load the next member while the current one computes, so that a GPU does not wait for the disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import nn

from fedcross.model.bundle import Bundle

Load = Callable[[Bundle, int], nn.Module]


class Prefetch:
    """Loads members; the next one is loaded on another thread while the current one computes.

    Two members are in memory at a time, so this is meant for GPUs, which have memory of their own. An
    exception that `load` raises in advance is raised when that member is requested.

    Parameters
    ----------
    load
        Loads a member, given the bundle and the index of the member.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, "fedcross-prefetch")
        self._next: tuple[str, int, Future[nn.Module]] | None = None

    def __call__(self, bundle: Bundle, index: int) -> nn.Module:
        """Return member `index` of a bundle and start loading the one after it."""
        expected, self._next = self._next, None
        if expected is not None and expected[:2] == (bundle.sha256, index):
            network = expected[2].result()
        else:
            network = self._load(bundle, index)
        if index + 1 < len(bundle.manifest.members):
            future = self._thread.submit(self._load, bundle, index + 1)
            self._next = (bundle.sha256, index + 1, future)
        return network
