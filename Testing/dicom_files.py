"""Small DICOM files made with pydicom: a series of slices, and an enhanced multi-frame file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

SPACING_MM = (0.75, 0.5, 2.5)  # x, y, z
ORIGIN_MM = (1.0, 2.0, 3.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SERIES = "1.2.826.0.1.3680043.10.1.7"

Change = Callable[[Any, int], object]
"""Changes the dataset of slice or frame k before it is written."""


def make_volume(shape: tuple[int, int, int] = (6, 5, 4)) -> NDArray[np.int16]:
    """Values (z, y, x), 100 z + 10 y + x."""
    z, y, x = np.indices(shape)
    return (100 * z + 10 * y + x).astype(np.int16)


def nothing(_dataset: Any, _k: int) -> None:
    """Change nothing."""


def write_series(
    folder: Path,
    volume: NDArray[Any] | None = None,
    change: Change = nothing,
    *,
    uid: str = SERIES,
    prefix: str = "IM",
    suffix: str = ".dcm",
    step_mm: tuple[float, float, float] = (0.0, 0.0, SPACING_MM[2]),
) -> Path:
    """Write one file for each slice of a volume; return the folder.

    Slice k lies at the origin plus k times `step_mm`.
    """
    values = make_volume() if volume is None else volume
    folder.mkdir(parents=True, exist_ok=True)
    for k, plane in enumerate(values):
        dataset = make_dataset(plane, f"{uid}.{k + 1}", uid)
        dataset.InstanceNumber = len(values) - k
        dataset.ImagePositionPatient = [o + k * s for o, s in zip(ORIGIN_MM, step_mm, strict=True)]
        dataset.ImageOrientationPatient = list(AXIAL)
        dataset.PixelSpacing = [SPACING_MM[1], SPACING_MM[0]]
        dataset.SliceThickness = SPACING_MM[2]
        change(dataset, k)
        dataset.save_as(folder / f"{prefix}{k:03d}{suffix}", enforce_file_format=True)
    return folder


def write_enhanced(
    path: Path,
    volume: NDArray[Any] | None = None,
    change: Change = nothing,
    change_all: Change = nothing,
) -> Path:
    """Write an enhanced multi-frame file; `change` gets the functional groups of frame k.

    `change_all` gets the whole dataset, and 0.
    """
    values = make_volume() if volume is None else volume
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = make_dataset(values, f"{SERIES}.1", SERIES, EnhancedMRImageStorage)
    dataset.NumberOfFrames = len(values)
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
            PixelMeasuresSequence=[
                item(
                    PixelSpacing=[SPACING_MM[1], SPACING_MM[0]],
                    SliceThickness=SPACING_MM[2],
                    SpacingBetweenSlices=SPACING_MM[2],
                )
            ],
        )
    ]
    groups = []
    for k in range(len(values)):
        place = [ORIGIN_MM[0], ORIGIN_MM[1], ORIGIN_MM[2] + k * SPACING_MM[2]]
        group = item(
            FrameContentSequence=[item(StackID="1", DimensionIndexValues=[1, k + 1])],
            PlanePositionSequence=[item(ImagePositionPatient=place)],
        )
        change(group, k)
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    change_all(dataset, 0)
    dataset.save_as(path, enforce_file_format=True)
    return path


def item(**elements: Any) -> Dataset:
    """A dataset with these elements; lists of datasets become sequences."""
    made = Dataset()
    for keyword, value in elements.items():
        is_sequence = isinstance(value, list) and value and isinstance(value[0], Dataset)
        setattr(made, keyword, Sequence(value) if is_sequence else value)
    return made


def make_dataset(
    pixels: NDArray[Any], sop_uid: str, series_uid: str, sop_class: UID = MRImageStorage
) -> FileDataset:
    """An MR image without a place: what describes the pixels (rows, columns) or (frames, ...)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sop_uid
    dataset.Modality = "MR"
    dataset.SeriesDescription = "Doe^Jane"
    dataset.PatientName = "Doe^Jane"
    dataset.StudyInstanceUID = f"{SERIES}.0"
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = 4
    dataset.FrameOfReferenceUID = f"{SERIES}.9"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    return dataset
