"""Segment every volume of a folder: files in, files out; the scene does not change."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from slicer.i18n import tr as _

from fedcross.contract.table import FIGURES, Row, table_cells, table_rows
from FedCrossSlicerLib.bundle.info import readBundleInfo
from FedCrossSlicerLib.bundle.summary import readResult
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.child.request import RESULT, Options, Starter, requestArguments
from FedCrossSlicerLib.csv_file import writeCSV
from FedCrossSlicerLib.display.report import unusualness
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.tasks.wait import wait

ENDINGS = (".nii", ".nii.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
FIRST = "_0000"
"""End of the name, before the ending, of the first channel's file of a case."""
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
        Folder with volumes (files with one of the `ENDINGS`, or folders with one DICOM series each). For
        a bundle with several channels the files of a case are ``CASE_0000.nii.gz``,
        ``CASE_0001.nii.gz`` and so on, in the order of the bundle's channels.
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
    cases = list(_cases(Path(folder), _channelCount(Path(bundle))))
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
    for done, (image, *further) in enumerate(cases):
        if progress is not None:
            progress(done, len(cases), image.name)
        result = target / _stem(image).removesuffix(FIRST if further else "")
        try:
            rows += _segment([image, *further], Path(bundle), result, options, starter)
        except InferenceError as error:
            rows.append(Row(image.name, error=str(error)))
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


def _cases(folder: Path, channels: int) -> Iterator[list[Path]]:
    """Yield the volumes of each case: one for each channel."""
    for image in _volumes(folder):
        if channels == 1:
            yield [image]
        elif _withoutEnding(image).endswith(FIRST):
            stem = _withoutEnding(image).removesuffix(FIRST)
            ending = image.name[len(_withoutEnding(image)) :]
            yield [folder / f"{stem}_{index:04d}{ending}" for index in range(channels)]


def _volumes(folder: Path) -> Iterator[Path]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() or entry.name.lower().endswith(ENDINGS):
            yield entry


def _stem(image: Path) -> str:
    """The name without its ending; the whole name if two files differ only in their ending."""
    stem = _withoutEnding(image)
    if stem == image.name:
        return stem
    others = [each for each in image.parent.glob(f"{stem}.*") if each != image]
    return image.name if others else stem


def _withoutEnding(image: Path) -> str:
    """The name without its ending; the whole name if it has none of the `ENDINGS`."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if image.name.lower().endswith(ending):
            return image.name[: -len(ending)]
    return image.name


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
