"""The next member is brought to life while one computes: a GPU need not wait for the disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import nn

from fedcross.model.bundle import Bundle

Load = Callable[[Bundle, int], nn.Module]


class Prefetch:
    """Loads members, each on another thread while the one before it is at work.

    Two members are alive at a time, so this is for processors with memory of their own. Whatever
    `load` raises is raised where its member is asked for.

    Parameters
    ----------
    load
        Brings a member of a bundle to life.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, "fedcross-prefetch")
        self._next: tuple[str, int, Future[nn.Module]] | None = None

    def __call__(self, bundle: Bundle, index: int) -> nn.Module:
        """Return member `index` and begin with the one after it."""
        expected, self._next = self._next, None
        if expected is not None and expected[:2] == (bundle.sha256, index):
            network = expected[2].result()
        else:
            network = self._load(bundle, index)
        if index + 1 < len(bundle.manifest.members):
            coming = self._thread.submit(self._load, bundle, index + 1)
            self._next = (bundle.sha256, index + 1, coming)
        return network
