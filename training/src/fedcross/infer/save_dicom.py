"""Makes DICOM files of an earlier result: ``python -m fedcross.infer.save_dicom FOLDER``.

The folder is that of `fedcross.contract.dicom`. Nothing is segmented, and PyTorch is not loaded. The
voxels are those that ``fedcross segment --dicom`` writes for the same result.
"""

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydantic import ValidationError

from fedcross.contract.dicom import DicomRequest
from fedcross.contract.events import ResultEvent
from fedcross.contract.exits import DONE, UNEXPECTED, explain
from fedcross.contract.files import (
    DICOM_FILES,
    DICOM_SEGMENTATION,
    ENSEMBLE,
    UNCERTAINTY,
    file_kind,
)
from fedcross.errors import ConfigError, DataError, DeviceError, OutputError
from fedcross.infer.child.events import events_on_stdout
from fedcross.infer.results.dicom.description import EnsembleDescription
from fedcross.infer.results.for_dicom import from_levels, split
from fedcross.infer.scratch import write_errors
from fedcross.runtime.files.publish import publish_files
from fedcross.runtime.files.walk import real_path
from fedcross.runtime.reporting import Reporter
from fedcross.runtime.signals import end_soon_after_interrupt, interrupt_on_terminate
from fedcross.volumes.files.dicom.source import DicomSource, find_source_of_files
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.grid import Grid, find_difference


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the files, write events to stdout, and return the exit code.

    Parameters
    ----------
    arguments
        The folder; None takes the words of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with end_soon_after_interrupt(), interrupt_on_terminate(), events_on_stdout() as reporter:
        try:
            if len(words) != 1:
                raise ConfigError(f"Expected one folder, got {len(words)} words.")
            names = save(Path(words[0]), reporter)
            reporter.write(ResultEvent({file_kind(name): name for name in names}, ""))
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each becomes an exit code
            code, event = explain(error)
            if code == UNEXPECTED:
                traceback.print_exc()
            with suppress(BrokenPipeError):  # nobody reads the message
                reporter.write(event)
            return code
    return DONE


def save(folder: Path, reporter: Reporter) -> tuple[str, ...]:
    """Make the DICOM files that a folder requests, all or none; return their names.

    Parameters
    ----------
    folder
        See `fedcross.contract.dicom`.
    reporter
        Receives the stages ``read`` and ``write``.

    Raises
    ------
    ConfigError
        If highdicom is not installed, or the request is incomplete.
    DataError
        If the result is damaged, or does not lie on the voxels of the series.
    DeviceError
        If the memory does not suffice.
    OutputError
        If the files cannot be written, or would replace those of the series.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise ConfigError("DICOM results need highdicom, which is not installed.")
    from fedcross.infer.results.dicom.write import DicomContent, write_content  # imports highdicom

    request, ensemble = read_request(folder)
    try:
        reporter.stage("read", "Reading the series")
        found = split(read_volume(folder / ENSEMBLE), len(ensemble.structures))
        if found is None:
            raise _damage_error()
        grid, (labels, *levels) = found
        heat = _read_map(folder / UNCERTAINTY, grid)
        if labels.max() > len(levels):
            raise _damage_error()
        source = find_source_of_files(request.files, grid)
        _check_output(request.out, source)
        means = map(from_levels, levels)
        content = DicomContent(labels, means, heat, request.measure)
        reporter.stage("write", "Writing the DICOM files")
        with (
            write_errors(request.out),
            publish_files(request.out, DICOM_SEGMENTATION, DICOM_FILES.__contains__) as staging,
        ):
            return write_content(content, source, ensemble, staging)
    except MemoryError as error:
        raise DeviceError(
            "This machine's memory does not suffice for the DICOM files.", "Close other programs."
        ) from error


def read_request(folder: Path) -> tuple[DicomRequest, EnsembleDescription]:
    """Return the request in a folder, and what segmented.

    Raises
    ------
    ConfigError
        If the request is incomplete.
    DataError
        If the description of the ensemble is damaged.
    """
    request = DicomRequest.read(folder)
    try:
        return request, EnsembleDescription.model_validate_json(request.description)
    except ValidationError as error:
        raise _damage_error() from error


def _read_map(path: Path, grid: Grid) -> NDArray[np.float32]:
    """The map of uncertainty, which must lie on the grid of the result."""
    image = read_volume(path)
    if find_difference(grid, Grid.of(image)) is not None:
        raise _damage_error()
    values: NDArray[np.float32] = sitk.GetArrayFromImage(image).astype(np.float32, copy=False)
    return values


def _check_output(out: Path, source: DicomSource) -> None:
    """Refuse to replace a file of the series."""
    replaced = {real_path(out / name) for name in DICOM_FILES}
    for file in source.files:
        if real_path(file) in replaced:
            raise OutputError(
                f"The DICOM files would replace {file.name} of the series.",
                "Choose another folder.",
            )


def _damage_error() -> DataError:
    return DataError(
        "The result in the scene is damaged, so that no DICOM files can be made of it.",
        "Segment the volume again.",
    )


if __name__ == "__main__":
    sys.exit(main())
