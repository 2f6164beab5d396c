"""Keeps models from request to request: the `fedcross.infer.models.Models` of the warm worker.

The last back-end, the last bundle and its loaded members are kept; nothing of a volume, and nothing at
all after a request that failed.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fedcross.contract.request import Precision, RequestOptions
from fedcross.model.member_file import check_member_file, member_file_size
from fedcross.patches.predictor import PatchPredictor

if TYPE_CHECKING:
    from fedcross.backends.factory import Backend
    from fedcross.model.bundle import Bundle

MAX_KEPT_BYTES = 384 * 1024**2
"""Size of the members' files; in memory they take up to five times as much. Further members are loaded
for each request."""

_Identity = tuple[Path, int, int, int, int]


@runtime_checkable
class Releasable(Protocol):
    """A predictor with working memory that it can release between patches."""

    def release_memory(self) -> None:
        """Release the working memory until the next patch."""


class WarmModels(AbstractContextManager["WarmModels"]):
    """Opens bundle and back-end for one request after another, and keeps them.

    A context manager: at the end everything is released.
    """

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._bundle: tuple[_Identity, Bundle] | None = None
        self._backend: tuple[tuple[str, str, str], _KeepingBackend] | None = None
        self._kept_of = ""

    def __exit__(self, *_: object) -> None:
        self.release()

    @contextmanager
    def __call__(
        self, bundle: Path, options: RequestOptions
    ) -> Iterator[tuple["Backend", "Bundle"]]:
        """Return bundle and back-end for a request, see `fedcross.infer.models.fresh_models`."""
        try:
            backend = self._backend_for(options)
            opened = self._open(bundle)
            if opened.sha256 != self._kept_of:
                backend.members.clear()
                self._kept_of = opened.sha256
            yield backend, opened
            backend.release_memory()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release everything; the folder that a zip was unpacked to is removed."""
        self._bundle = self._backend = None
        self._kept_of = ""
        self._opened.close()

    def _backend_for(self, options: RequestOptions) -> "_KeepingBackend":
        from fedcross.backends.factory import choose_backend

        names = (options.backend, options.device, options.precision)
        if self._backend is None or self._backend[0] != names:
            self._backend = names, _KeepingBackend(choose_backend(*names))
            self._kept_of = ""
        return self._backend[1]

    def _open(self, path: Path) -> "Bundle":
        """Open a bundle, unless it is open already and its zip is the same as then."""
        from fedcross.model.bundle import open_bundle

        # Read first: a zip that is replaced while it is being opened then counts as another one.
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
    """A back-end that keeps the members that it loaded.

    Attributes
    ----------
    members
        The kept members of one bundle, by index.
    """

    def __init__(self, backend: "Backend") -> None:
        self.name: str = backend.name
        self.precision: Precision = backend.precision
        self.processor: str = backend.processor
        self.members: dict[int, PatchPredictor] = {}
        self._backend = backend
        self._files: dict[int, _Identity | None] = {}
        self._bytes = 0

    def load(self, bundle: "Bundle", index: int) -> PatchPredictor:
        """Load a member, or return the kept one; a file that was written since is checked.

        The other members release their working memory.
        """
        self.release_memory()
        member = bundle.manifest.members[index]
        file = bundle.path / member.file
        size, identity = member_file_size(file), _identity(file)
        if index in self.members:
            if self._files[index] != identity:
                check_member_file(file, member.sha256)
                self._files[index] = identity
            return self.members[index]
        if not self.members:
            self._bytes = 0
        predictor = self._backend.load(bundle, index)
        self._bytes += size
        if self._bytes <= MAX_KEPT_BYTES:
            self.members[index], self._files[index] = predictor, identity
        return predictor

    def release_memory(self) -> None:
        """Release the working memory of all members."""
        for predictor in self.members.values():
            if isinstance(predictor, Releasable):
                predictor.release_memory()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # other programs can use this memory of the GPU


def _identity(path: Path) -> _Identity | None:
    """Return what distinguishes a file from another at the same place; None for a folder.

    A folder's manifest is read again for each request, which takes milliseconds; unpacking a zip takes
    seconds.
    """
    if not path.is_file():
        return None
    found = path.stat()
    return path.absolute(), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
