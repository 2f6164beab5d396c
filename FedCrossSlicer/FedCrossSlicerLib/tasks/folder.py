"""Every volume of a folder in one go: files in, files out, nothing in the scene.

From Slicer's Python console::

    from FedCrossSlicerLib.tasks.folder import segmentFolder
    segmentFolder("volumes", "bundle.zip", "results")
"""

import csv
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.result import readResult
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.child.request import RESULT, Options, requestArguments
from FedCrossSlicerLib.errors import InferenceError

ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
FIGURES = "figures.csv"
POLL_S = 0.05
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """One structure of one volume; of a volume that failed, why.

    Attributes
    ----------
    volume
        Name of its file or of its DICOM series' folder.
    structure
        ``""`` for a volume that failed.
    volume_ml, members_mean_ml, members_min_ml, members_max_ml, mean_dice
        As in the panel; empty where there is nothing.
    error
        One sentence; ``""`` when all went well.
    """

    volume: str
    structure: str = ""
    volume_ml: float | str = ""
    members_mean_ml: float | str = ""
    members_min_ml: float | str = ""
    members_max_ml: float | str = ""
    mean_dice: float | str = ""
    error: str = ""


def segmentFolder(
    folder: str | Path,
    bundle: str | Path,
    out: str | Path,
    options: Options | None = None,
    progress: Progress | None = None,
    starter: Callable[[Sequence[str]], Any] = WORKERS.start,
) -> list[Row]:
    """Segment the volumes of a folder, each into a folder of its own below `out`.

    A volume that fails is named with its error, and the others go on.

    Parameters
    ----------
    folder
        With volumes (`ENDINGS`), and folders of one DICOM series each.
    bundle
        Folder or ``.zip``.
    out
        For the results, and ``figures.csv`` with the figures of all.
    options
        How to segment; None for the defaults.
    progress
        Called with (volumes done, in all, name of the one at work).
    starter
        Has the words of a request answered; replaced in tests.

    Returns
    -------
    list of Row
        What ``figures.csv`` holds.

    Raises
    ------
    InferenceError
        If there is no volume, or `out` cannot be written.
    """
    volumes = list(_volumes(Path(folder)))
    if not volumes:
        raise InferenceError(_("There is no volume in {name}.").format(name=Path(folder).name))
    target = Path(out)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be made: {why}.").format(name=target.name, why=error.strerror)
        ) from error
    rows: list[Row] = []
    for done, image in enumerate(volumes):
        if progress is not None:
            progress(done, len(volumes), image.name)
        try:
            rows += _segment(image, Path(bundle), target / _stem(image), options, starter)
        except InferenceError as error:
            rows.append(Row(image.name, error=str(error)))
        _write(rows, target / FIGURES)
    if progress is not None:
        progress(len(volumes), len(volumes), "")
    return rows


def _volumes(folder: Path) -> Iterator[Path]:
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir() or entry.name.lower().endswith(ENDINGS):
            yield entry


def _stem(image: Path) -> str:
    """The name without its ending, but with it where two files differ in nothing else."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if image.name.lower().endswith(ending):
            stem = image.name[: -len(ending)]
            twins = [each for each in image.parent.glob(f"{stem}.*") if each != image]
            return image.name if twins else stem
    return image.name


def _segment(
    image: Path, bundle: Path, folder: Path, options: Options | None, starter: Callable[..., Any]
) -> list[Row]:
    # Whole paths: a worker may have been started in another folder than the present one.
    words = requestArguments(
        folder.absolute(), bundle.absolute(), options or Options(), image.absolute()
    )
    process = starter(words)
    try:
        while process.running:
            process.events()
            slicer.app.processEvents()
            time.sleep(POLL_S)
        process.check()
    except BaseException:
        process.cancel()
        raise
    return [
        Row(
            image.name,
            each.name,
            each.volume,
            each.mean,
            each.low,
            each.high,
            "" if each.agreement is None else each.agreement,
        )
        for each in readResult(folder / RESULT).structures
    ]


def _write(rows: Sequence[Row], path: Path) -> None:
    """Write the table whole or not at all: an interrupted batch leaves that of the volumes done."""
    names = [field.name for field in fields(Row)]
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=path.parent, suffix=".partial", delete=False
        ) as file:
            writer = csv.writer(file)
            writer.writerow(names)
            writer.writerows([getattr(row, name) for name in names] for row in rows)
        Path(file.name).replace(path)
    except OSError as error:
        raise InferenceError(
            _("{name} cannot be written: {why}.").format(name=path.name, why=error.strerror)
        ) from error
