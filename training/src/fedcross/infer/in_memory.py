"""Segments a volume from Python and returns arrays: `fedcross.segment`."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from fedcross.contract.measures import DEFAULT_MEASURE, MEASURES, Measure
from fedcross.contract.request import MAX_HOURS, RequestOptions
from fedcross.errors import ConfigError
from fedcross.infer.compute import Result
from fedcross.infer.image_input import ImageInput, image_readers
from fedcross.infer.models import Models, fresh_models
from fedcross.infer.results.dicom.request import source_finder
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import Job, run_job
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.volumes.grid import Grid
from fedcross.volumes.region import Region


@dataclass(frozen=True)
class Segmentation:
    """A segmented volume: arrays (z, y, x) on the volume's own grid.

    Attributes
    ----------
    labels : NDArray
        uint8: the ensemble's label map, 0 is background.
    probabilities : dict
        Structure name to float32, the members' mean probability from 0 to 1.
    measures : dict
        Measure name to float32, a map of uncertainty.
    member_labels : tuple of NDArray
        uint8: each member's own label map.
    grid : Grid
        ``spacing_mm``, ``origin_mm`` (LPS), and ``direction``, the 3 x 3 matrix row by row.
    summary : Summary
        Volumes, agreement of the members, and hot spots, as in ``summary.json``.
    """

    labels: NDArray[np.uint8]
    probabilities: Mapping[str, NDArray[np.float32]]
    measures: Mapping[Measure, NDArray[np.float32]]
    member_labels: tuple[NDArray[np.uint8], ...]
    grid: Grid
    summary: Summary

    def image(self, array: NDArray[Any]) -> sitk.Image:
        """Return an array of this segmentation as a SimpleITK image at its place in the world.

        Raises
        ------
        ConfigError
            If the array does not have the shape of the grid.
        """
        if array.shape != self.grid.shape:
            raise ConfigError(
                f"array must have the shape {self.grid.shape} of the grid, got {array.shape}."
            )
        return self.grid.image(array)


def segment(
    image: ImageInput | Sequence[ImageInput],
    bundle: str | os.PathLike[str] | Bundle,
    *,
    spacing_mm: Sequence[float] | None = None,
    origin_mm: Sequence[float] | None = None,
    direction: ArrayLike | None = None,
    series: str | int | Sequence[str | int | None] | None = None,
    out: str | os.PathLike[str] | None = None,
    measure: Measure = DEFAULT_MEASURE,
    measures: Collection[Measure] = MEASURES,
    probabilities: bool = True,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    roi: str | os.PathLike[str] | Region | None = None,
    localise: bool = False,
    save_probabilities: bool = False,
    save_members: bool = False,
    for_viewer: bool = False,
    dicom: bool = False,
    dicom_labelmap: bool = False,
    max_memory_gb: float | None = None,
    max_hours: float = MAX_HOURS,
    reporter: Reporter | None = None,
    models: Models = fresh_models,
) -> Segmentation:
    """Segment a volume with every member of a bundle, and return the result as arrays.

    The numbers are those of the files that ``fedcross segment`` writes. Without `out` no file is kept.

    Parameters
    ----------
    image
        A file (NIfTI, NRRD, MetaImage, DICOM), a DICOM folder, a 3D SimpleITK image, or an array
        (z, y, x) of real numbers. For a bundle with several channels a list or a tuple of them, in the
        order of the channels. An image on another grid than the first is resampled onto that grid.
    bundle
        Bundle folder or ``.zip``, or an opened bundle.
    spacing_mm
        For arrays, required: distance between voxel centres along (x, y, z).
    origin_mm
        For an array: centre of voxel (0, 0, 0) in the world, LPS; None is (0, 0, 0).
    direction
        For an array: 3 x 3, its columns are the unit vectors of the axes x, y, z in the world, LPS;
        None is the identity.
    series
        Which volume of a DICOM folder that holds several: its number in the list that the error message
        gives, from 1, or its Series Instance UID. For several images a sequence with one for each; None
        is the only volume.
    out
        Folder that also receives the files of ``fedcross segment``.
    measure
        Measure of ``uncertainty.nrrd`` and of the hot spots in the summary.
    measures
        Measures to return beside `measure`; all by default.
    probabilities
        Whether to return the structures' probabilities.
    device
        ``auto``, ``cpu``, or a GPU such as ``cuda:0``.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``.
    backend
        ``auto``, ``openvino``, ``tuned`` or ``torch``.
    roi
        JSON file of a box, or a `Region`; voxels outside it become background.
    localise
        Whether to compute only the patches near the structures that the first member finds.
    save_probabilities, save_members, for_viewer
        Further files in `out`, see ``fedcross segment --help``.
    dicom, dicom_labelmap
        Whether to write segmentation, probability and uncertainty as DICOM to `out`, and whether that
        segmentation is a Label Map; the (first) image must be a DICOM folder or file.
    max_memory_gb
        Most memory in GB that the segmentation may need; None is what the machine has left.
    max_hours
        Longest time in hours that the networks may take, estimated from the first patches.
    reporter
        Receives stages and progress; None reports nothing.
    models
        Opens bundle and back-end. A `WarmModels` keeps them from call to call.

    Returns
    -------
    Segmentation
        Without `out`, its summary names no files.

    Raises
    ------
    FedCrossError
        If an argument, the volume, the bundle, the device or the output folder cannot be used: one
        sentence.
    """
    unknown = sorted({measure, *measures}.difference(MEASURES))
    if unknown:
        raise ConfigError(f"There is no measure {unknown[0]!r}.", f"Use {', '.join(MEASURES)}.")
    images = image if isinstance(image, list | tuple) else [image]
    chosen = [series] if series is None or isinstance(series, str | int) else list(series)
    options = RequestOptions(
        measure=measure,
        device=device,
        precision=precision,
        backend=backend,
        localise=localise,
        save_probabilities=save_probabilities,
        save_members=save_members,
        for_viewer=for_viewer,
        dicom=dicom,
        dicom_labelmap=dicom_labelmap,
        max_memory_gb=max_memory_gb,
        max_hours=max_hours,
    )
    folder = None if out is None else Path(out)
    job = Job(
        read=image_readers(
            images,
            spacing_mm=spacing_mm,
            origin_mm=origin_mm,
            direction=direction,
            series=[] if series is None else chosen,
        ),
        bundle=bundle.path if isinstance(bundle, Bundle) else Path(bundle),
        options=options,
        out=folder,
        sources=tuple(Path(each) for each in images if isinstance(each, str | os.PathLike)),
        region=roi if roi is None or isinstance(roi, Region) else Path(roi),
        measures=tuple(measures),
        find_dicom=source_finder(
            options, next(iter(images), None), next(iter(chosen), None), folder
        ),
    )

    wanted = [name for name in MEASURES if name == measure or name in measures]
    return run_job(
        job,
        reporter or NullReporter(),
        models,
        lambda result, summary: _collect(result, summary, wanted, probabilities),
    )


def _collect(
    result: Result, summary: Summary, measures: Sequence[Measure], probabilities: bool
) -> Segmentation:
    structures = result.structures if probabilities else ()
    return Segmentation(
        labels=result.labels,
        probabilities={each.name: result.probability(each) for each in structures},
        measures={name: result.uncertainty(name) for name in measures},
        member_labels=tuple(np.array(labels) for labels in result.member_labels),
        grid=result.grid,
        summary=summary,
    )
