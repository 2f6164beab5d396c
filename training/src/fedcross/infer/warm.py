"""Models that stay from request to request: what the warm worker hands to `fedcross.infer.segment`.

Kept are the last back-end, the last bundle and its members, brought to life. Nothing of a volume is, and
nothing at all after a request that failed.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.device import Precision

if TYPE_CHECKING:
    from fedcross.backends.factory import Backend
    from fedcross.infer.segment import SegmentRequest
    from fedcross.model.bundle import Bundle

MAX_KEPT_BYTES = 384 * 1024**2
"""Of members' files; in memory they take up to five times as much. Members beyond are loaded anew."""

_Identity = tuple[Path, int, int, int, int]


@runtime_checkable
class Resting(Protocol):
    """A predictor that holds memory for its work, which it can do without in between."""

    def release_memory(self) -> None:
        """Let go of it until the next patch."""


class WarmModels:
    """A `fedcross.infer.segment.Models` that remembers; a context manager that forgets at the end."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._bundle: tuple[_Identity, Bundle] | None = None
        self._backend: tuple[tuple[str, str, str], _KeepingBackend] | None = None
        self._kept_of = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.forget()

    @contextmanager
    def __call__(self, request: "SegmentRequest") -> Iterator[tuple["Backend", "Bundle"]]:
        """Bring back-end and bundle for a request, as `fedcross.infer.segment.fresh_models` does."""
        try:
            backend = self._backend_for(request)
            bundle = self._open(request.bundle)
            if bundle.sha256 != self._kept_of:
                backend.members.clear()
                self._kept_of = bundle.sha256
            yield backend, bundle
            backend.release_memory()
        except BaseException:
            self.forget()
            raise

    def forget(self) -> None:
        """Let go of everything; what a zip was unpacked to is removed."""
        self._bundle = self._backend = None
        self._kept_of = ""
        self._opened.close()

    def _backend_for(self, request: "SegmentRequest") -> "_KeepingBackend":
        from fedcross.backends.factory import choose_backend

        asked = (request.backend, request.device, request.precision)
        if self._backend is None or self._backend[0] != asked:
            self._backend = asked, _KeepingBackend(choose_backend(*asked))
            self._kept_of = ""
        return self._backend[1]

    def _open(self, path: Path) -> "Bundle":
        """Open a bundle, unless it is open already and its file or manifest is the same as then."""
        from fedcross.model.bundle import open_bundle

        # Before it is opened: whatever is put there afterwards is then taken for another.
        identity = _identity(path)
        if self._bundle is None or identity is None or self._bundle[0] != identity:
            self._bundle = None
            self._opened.close()
            bundle = self._opened.enter_context(open_bundle(path))
            if identity is None:
                return bundle
            self._bundle = identity, bundle
        return self._bundle[1]


class _KeepingBackend:
    """A back-end that keeps the members which it brought to life.

    Attributes
    ----------
    members
        By index; those of one bundle.
    """

    def __init__(self, backend: "Backend") -> None:
        self.name: str = backend.name
        self.precision: Precision = backend.precision
        self.processor: str = backend.processor
        self.members: dict[int, PatchPredictor] = {}
        self._backend = backend
        self._bytes = 0

    def load(self, bundle: "Bundle", index: int) -> PatchPredictor:
        """Bring a member to life or take the one kept; the others rest, so that one is at work."""
        self.release_memory()
        if index in self.members:
            return self.members[index]
        if not self.members:
            self._bytes = 0
        predictor = self._backend.load(bundle, index)
        file = bundle.path / bundle.manifest.members[index].file
        # A converted member comes from the cache, even if the bundle's own file is gone.
        self._bytes += file.stat().st_size if file.is_file() else MAX_KEPT_BYTES
        if self._bytes <= MAX_KEPT_BYTES:
            self.members[index] = predictor
        return predictor

    def release_memory(self) -> None:
        """Let the members give back what they need at work only."""
        for predictor in self.members.values():
            if isinstance(predictor, Resting):
                predictor.release_memory()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # what PyTorch holds of the GPU, other programs lack


def _identity(path: Path) -> _Identity | None:
    """Tell a bundle's zip from any other at the same place; None for a folder, which is read anew.

    Reading a folder's manifest takes milliseconds, unpacking a zip takes seconds.
    """
    if not path.is_file():
        return None
    found = path.stat()
    return path.absolute(), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
