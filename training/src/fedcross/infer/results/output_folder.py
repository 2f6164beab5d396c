"""The result folder. It is checked before the computation, and all files appear in it at the end.

All results are written to a hidden folder inside and then renamed, ``summary.json`` last: a folder with
a summary is complete.
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fedcross.contract.files import SUMMARY, is_result_file
from fedcross.errors import DataError, OutputError
from fedcross.infer.scratch import write_errors
from fedcross.runtime.files.folders import new_folder
from fedcross.runtime.files.publish import publish_files
from fedcross.runtime.files.walk import real_path
from fedcross.volumes.files.itk import itk_path


class OutputFolder:
    """A result folder that can be written to; see `output_folder`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def results(self) -> list[Path]:
        """Return the files in it that a request may have written."""
        return [path for path in self._path.iterdir() if is_result_file(path.name)]

    @contextmanager
    def publish(self) -> Iterator[Path]:
        """Yield a folder to write results to; at the end they replace those of earlier requests.

        Raises
        ------
        OutputError
            If they cannot be moved into place. After an error inside, nothing is moved.
        """
        with (
            write_errors(self._path),
            publish_files(self._path, SUMMARY, is_result_file) as staging,
        ):
            yield staging


@contextmanager
def output_folder(path: Path, sources: Collection[Path]) -> Iterator[OutputFolder]:
    """Make a result folder, check it, and remove it at the end if it is new and empty.

    Parameters
    ----------
    path
        The folder; it may exist.
    sources
        Files of the images, which the results must not replace.

    Raises
    ------
    OutputError
        If nothing can be written there, a folder has the name of a result, or the results would replace
        one of `sources`.
    """
    try:
        itk_path(path.absolute())  # ITK's writer would fail after the computation
    except DataError as error:
        raise OutputError(error.message, "Choose another output folder.") from error
    with ExitStack() as stack:
        try:
            stack.enter_context(new_folder(path))
            tempfile.TemporaryFile(dir=path).close()
        except OSError as error:
            raise OutputError(
                f"Nothing can be written to the folder {path.name}: {error.strerror}.",
                "Choose another one.",
            ) from error
        folder = OutputFolder(path)
        _check_results(folder, sources)
        yield folder


def _check_results(folder: OutputFolder, sources: Collection[Path]) -> None:
    """Raise `OutputError` if a folder has the name of a result, or a result that of a source."""
    results = folder.results()
    if blocked := next((each for each in results if each.is_dir()), None):
        raise OutputError(
            f"{blocked.parent.name} has a folder {blocked.name}, where a file of that name is written.",
            "Rename it, or choose another output folder.",
        )
    replaced = {real_path(old) for old in results}
    for source in sources:
        if real_path(source) in replaced:
            raise OutputError(
                f"The results would replace the input {source.name}.",
                "Choose another output folder.",
            )
