"""Segment one volume with a bundle: files in, files out.

The one function that everything else (child process, command line, demo) calls.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedcross.errors import DeviceError
from fedcross.infer.device import Precision, describe_device, resolve_device, resolve_precision
from fedcross.infer.ensemble import STAGE, EnsembleOutcome, label_map, run_ensemble
from fedcross.infer.events import Reporter
from fedcross.infer.output import SEGMENTATION, SUMMARY, UNCERTAINTY, OutputFolder
from fedcross.infer.patches import PatchPredictor
from fedcross.infer.preprocess import Prepared, prepare, to_source_grid
from fedcross.infer.segmentation_io import write_segmentation
from fedcross.infer.stopwatch import Stopwatch
from fedcross.infer.summary import Summary, summarise
from fedcross.infer.torch_predictor import TorchPredictor, memory_errors_translated
from fedcross.infer.volume_io import read_volume, write_volume
from fedcross.method.uncertainty import Measure
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.manifest import Manifest


@dataclass(frozen=True)
class SegmentRequest:
    """What to segment, with what, and what to write.

    Attributes
    ----------
    bundle : Path
        A bundle's folder or ``.zip``.
    image : Path
        A volume's file or DICOM series folder.
    out : Path
        Folder for the results; made if need be, results of an earlier run in it are replaced.
    measure : str
        What the uncertainty map shows.
    device, precision : str
        As `resolve_device` and `resolve_precision` take them.
    save_probabilities, save_members : bool
        Also write each structure's mean probability, and each member's own segmentation.
    """

    bundle: Path
    image: Path
    out: Path
    measure: Measure = "std"
    device: str = "auto"
    precision: str = "auto"
    save_probabilities: bool = False
    save_members: bool = False


@dataclass(frozen=True)
class _Maps:
    """The ensemble's results on the input's own grid, (z, y, x) as stored."""

    labels: NDArray[np.uint8]
    heat: NDArray[np.float32]


def segment(request: SegmentRequest, reporter: Reporter) -> Summary:
    """Segment a volume and write the results, all or none.

    Parameters
    ----------
    request
        What to do.
    reporter
        Told about stages (``open``, ``read``, ``preprocess``, ``ensemble``, ``combine``, ``write``) and
        patches.

    Returns
    -------
    Summary
        Also written as ``summary.json``.

    Raises
    ------
    FedCrossError
        Whatever the user can put right: the bundle, the volume, the device, the output folder. What
        can be checked is checked before anything is computed.
    """
    try:
        with memory_errors_translated():
            return _segment(request, reporter)
    except MemoryError as error:
        raise DeviceError(
            "This machine's memory does not suffice for the volume.",
            "Close other programs or crop the volume.",
        ) from error


def _segment(request: SegmentRequest, reporter: Reporter) -> Summary:
    clock = Stopwatch(reporter)
    with ExitStack() as stack:
        with clock.stage("open", "Opening the bundle"):
            device = resolve_device(request.device)
            precision = resolve_precision(request.precision, device)
            bundle = stack.enter_context(open_bundle(request.bundle))
            out = stack.enter_context(OutputFolder(request.out, request.image))
        with clock.stage("read", "Reading the volume"):
            image = read_volume(request.image)
        with clock.stage("preprocess", "Preparing the volume"):
            prepared = prepare(image, bundle.manifest.preprocessing)
        members = len(bundle.manifest.members)
        with clock.stage(STAGE, f"Segmenting with {members} models on {describe_device(device)}"):
            outcome = run_ensemble(
                bundle.manifest,
                lambda index: _load_member(bundle, index, device, precision),
                prepared,
                out.spool(),
                measure=request.measure,
                reporter=reporter,
            )
        with clock.stage("combine", "Comparing the models"):
            heat = to_source_grid(outcome.statistics.measure(request.measure), prepared)
            maps = _Maps(label_map(outcome.statistics.mean, prepared), heat)
        with out.publishing() as folder:
            with clock.stage("write", "Writing the results"):
                files = _write(folder, request, bundle.manifest, prepared, outcome, maps)
            summary = summarise(
                bundle,
                prepared.source,
                measure=request.measure,
                labels=maps.labels,
                heat=maps.heat,
                member_labels=tuple(outcome.member_labels),
                files=files,
                device=describe_device(device),
                precision=precision,
                timings_s=clock.seconds,
            )
            (folder / SUMMARY).write_text(
                summary.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
    return summary


def _load_member(
    bundle: Bundle, index: int, device: torch.device, precision: Precision
) -> PatchPredictor:
    return TorchPredictor(
        bundle.load_member(index, device),
        device=device,
        precision=precision,
        temperature=bundle.manifest.calibration.temperature,
    )


def _write(
    folder: Path,
    request: SegmentRequest,
    manifest: Manifest,
    prepared: Prepared,
    outcome: EnsembleOutcome,
    maps: _Maps,
) -> dict[str, str]:
    """Write all but the summary; return what each file is and its name."""
    grid, structures = prepared.source, manifest.structures
    files = {"segmentation": SEGMENTATION, "uncertainty": UNCERTAINTY}
    write_segmentation(grid.image(maps.labels), structures, folder / SEGMENTATION)
    write_volume(grid.image(maps.heat), folder / UNCERTAINTY)
    if request.save_probabilities:
        for structure in structures:
            kind = f"probability_{structure.slug}"
            files[kind] = f"{kind}.nrrd"
            probability = to_source_grid(outcome.statistics.mean[structure.label], prepared)
            write_volume(grid.image(probability), folder / files[kind])
    if request.save_members:
        for index, labels in enumerate(outcome.member_labels):
            files[f"member_{index}"] = f"member_{index}.seg.nrrd"
            write_segmentation(grid.image(labels), structures, folder / files[f"member_{index}"])
    return files
