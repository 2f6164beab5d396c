"""The output folder: checked before the work begins, filled in one go at the end.

While the ensemble runs there are only nameless temporary files, which vanish with the process however
it ends. At the end everything is written to a hidden folder inside and then renamed file by file;
``summary.json`` goes first of the old and comes last of the new, so that a folder with a summary is
complete.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from fedcross.errors import OutputError
from fedcross.runtime.atomic import scratch_folder
from fedcross.uncertainty.measures import MEASURES

SUMMARY = "summary.json"
SEGMENTATION = "segmentation.seg.nrrd"
UNCERTAINTY = "uncertainty.nrrd"
OUTLINES = "outlines.seg.nrrd"
DISTANCE = "distance.nrrd"
_NAMES = "|".join(map(re.escape, (SUMMARY, SEGMENTATION, UNCERTAINTY, OUTLINES, DISTANCE)))
_PRODUCT = re.compile(
    rf"{_NAMES}|uncertainty_({'|'.join(MEASURES)})\.nrrd|probability_[^.]+\.nrrd|member_\d+\.seg\.nrrd"
)
"""What a run writes, and nothing that anybody would call so: earlier results are removed by it."""


class OutputFolder:
    """A folder for results, as a context manager.

    Parameters
    ----------
    path
        The folder; made if it is not there. Left again without results, it is removed.
    source
        The volume that will be segmented, which must not be overwritten.

    Raises
    ------
    OutputError
        On entry, if nothing can be written there.
    """

    def __init__(self, path: Path, source: Path) -> None:
        self._path = path
        self._source = source
        self._made = False
        self._spools = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._made = not self._path.exists()
            self._path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self._path).close()
        except OSError as error:
            raise OutputError(
                f"Nothing can be written to the folder {self._path.name}: {error.strerror}.",
                "Choose another one.",
            ) from error
        if self._source.resolve() in [product.resolve() for product in self._products()]:
            raise OutputError(
                f"The results would replace the input {self._source.name}.",
                "Choose another output folder.",
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spools.close()
        if self._made:
            with suppress(OSError):  # it is not empty, or gone
                self._path.rmdir()

    def spool(self) -> IO[bytes]:
        """Return a nameless temporary file on the same disk, closed with the folder."""
        return self._spools.enter_context(tempfile.TemporaryFile(dir=self._path))

    @contextmanager
    def spooling(self) -> Iterator[None]:
        """Turn a full disk while temporary files are written into an `OutputError`."""
        try:
            yield
        except BrokenPipeError:
            raise  # of whoever listens to the progress
        except OSError as error:
            raise self._failed(error) from error

    @contextmanager
    def publishing(self) -> Iterator[Path]:
        """Yield a folder to write results to; afterwards they replace those of earlier runs.

        Raises
        ------
        OutputError
            If they cannot be moved into place. After an error inside, nothing is moved.
        """
        try:
            # Another run that had made the folder may have removed it again.
            self._path.mkdir(parents=True, exist_ok=True)
            with scratch_folder(self._path / SUMMARY) as staging:
                yield staging
                self._move(staging)
        except BrokenPipeError:
            raise  # as above
        except OSError as error:
            raise self._failed(error) from error

    def _move(self, staging: Path) -> None:
        (self._path / SUMMARY).unlink(missing_ok=True)
        fresh = sorted(staging.iterdir(), key=lambda file: (file.name == SUMMARY, file.name))
        names = {file.name for file in fresh}
        for product in self._products():
            if product.name not in names:
                product.unlink(missing_ok=True)
        for file in fresh:
            file.replace(self._path / file.name)

    def _products(self) -> list[Path]:
        return [path for path in self._path.iterdir() if _PRODUCT.fullmatch(path.name)]

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"The results cannot be written to the folder {self._path.name}: {error.strerror}.",
            "Check its permissions and the free space.",
        )
