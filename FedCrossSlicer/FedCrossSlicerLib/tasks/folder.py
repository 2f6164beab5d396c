"""Segment every volume of a folder: files in, files out; the scene does not change."""

from collections.abc import Callable, Sequence
from pathlib import Path

from slicer.i18n import tr as _

from fedcross.contract.folder_cases import find_cases
from fedcross.contract.table import FIGURES, Row, table_cells, table_rows
from FedCrossSlicerLib.bundle.info import readBundleInfo
from FedCrossSlicerLib.bundle.summary import readResult
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.child.request import RESULT, Options, Starter, requestArguments
from FedCrossSlicerLib.csv_file import writeCSV
from FedCrossSlicerLib.display.report import unusualness
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.tasks.wait import wait

Progress = Callable[[int, int, str], None]


def segmentFolder(
    folder: str | Path,
    bundle: str | Path,
    out: str | Path,
    options: Options | None = None,
    progress: Progress | None = None,
    starter: Starter = WORKERS.start,
) -> list[Row]:
    """Segment every volume of a folder, each into its own folder below `out`.

    If a volume fails, its row holds the error and the next volume is segmented.

    Parameters
    ----------
    folder
        Folder with volumes, see `fedcross.contract.folder_cases.find_cases`. For a bundle with several
        channels the files of a case are ``CASE_0000.nii.gz``, ``CASE_0001.nii.gz`` and so on, in the
        order of the bundle's channels.
    bundle
        The bundle's folder or ``.zip``.
    out
        Folder for the results and for ``figures.csv``, which holds the figures of all volumes.
    options
        How to segment; None for the defaults.
    progress
        Called before each volume, and at the end, with the number of volumes that are done, the number
        of all volumes, and the name of the volume that comes next (``""`` at the end).
    starter
        Sends a request to the child process; tests replace it.

    Returns
    -------
    list of Row
        The rows of ``figures.csv``.

    Raises
    ------
    InferenceError
        If the folder has no volume, or `out` cannot be written.
    """
    cases = find_cases(Path(folder), _channelCount(Path(bundle)))
    if not cases:
        raise InferenceError(_("There is no volume in {name}.").format(name=Path(folder).name))
    target = Path(out)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be made: {why}.").format(name=target.name, why=error.strerror)
        ) from error
    rows: list[Row] = []
    for done, case in enumerate(cases):
        image = case.images[0].name
        if progress is not None:
            progress(done, len(cases), image)
        try:
            rows += _segment(case.images, Path(bundle), target / case.name, options, starter)
        except InferenceError as error:
            rows.append(Row(image, error=str(error)))
        writeCSV(table_cells(rows), target / FIGURES)
    if progress is not None:
        progress(len(cases), len(cases), "")
    return rows


def _channelCount(bundle: Path) -> int:
    """The number of channels of a bundle; 1 if it cannot be read, which the child process reports."""
    try:
        return max(1, len(readBundleInfo(bundle).channels))
    except InferenceError:
        return 1


def _segment(
    images: Sequence[Path], bundle: Path, folder: Path, options: Options | None, starter: Starter
) -> list[Row]:
    # Absolute paths: a warm worker may have another current folder than this process.
    image, *further = (each.absolute() for each in images)
    arguments = requestArguments(
        folder.absolute(), bundle.absolute(), options or Options(), image, further
    )
    request = starter(arguments)
    try:
        wait(request, request.events)
        request.check()
    except BaseException:
        request.cancel()
        raise
    result = readResult(folder / RESULT)
    return table_rows(
        image.name, result.structures, result.warnings, **unusualness(result.familiarity)
    )
