"""DICOM sources of every kind: classic and enhanced, oblique, compressed, several series."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from dicom_files import write_enhanced, write_series

OTHER = "1.2.826.0.1.3680043.10.1.8"
SHAPE = (6, 10, 12)
COS, SIN = 0.8, 0.6
OBLIQUE = (COS, SIN, 0.0, 0.0, 0.0, -1.0)  # columns within the axial plane, rows towards the feet
ACROSS = (-SIN, COS, 0.0)  # the normal of these slices: (COS, SIN, 0) x (0, 0, -1) is its opposite


def noise(shape: tuple[int, ...] = SHAPE, dtype: type = np.int16) -> NDArray[Any]:
    """Noise with a bright block."""
    values = np.random.default_rng(3).integers(0, 1000, shape)
    values[shape[0] // 3 : 2 * shape[0] // 3, 2:7, 3:9] += 5000
    return values.astype(dtype)


def person(dataset: Dataset) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Jürgen"
    dataset.PatientID = "ID-4711"
    dataset.PatientBirthDate = "19500102"
    dataset.PatientSex = "M"
    dataset.StudyDate, dataset.StudyTime = "20260131", "101500"
    dataset.StudyID, dataset.AccessionNumber = "S1", "A1"
    dataset.Manufacturer = "Maker"


def classic_mr(folder: Path) -> Path:
    return write_series(folder, noise(), lambda dataset, k: person(dataset))


def ct(folder: Path) -> Path:
    def change(dataset: Any, _k: int) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
        dataset.Modality = "CT"
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024

    return write_series(folder, noise(), change)


def oblique(folder: Path) -> Path:
    def change(dataset: Any, k: int) -> None:
        dataset.ImageOrientationPatient = list(OBLIQUE)
        dataset.Laterality, dataset.BodyPartExamined = "L", "HIP"

    return write_series(folder, noise(), change, step_mm=tuple(2.5 * each for each in ACROSS))


def sagittal_with_jitter(folder: Path) -> Path:
    """Slices along x, stored from the last to the first, off their even places by up to 0.1 mm."""

    def change(dataset: Any, k: int) -> None:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [30 - 2.5 * k + 0.1 * (k % 2), 2, 3]

    return write_series(folder, noise(), change)


def enhanced_with_two_times(folder: Path) -> Path:
    """Frames of two time points in turns; the second half of the places comes first."""
    places = [(k // 2 + 3) % 6 for k in range(12)]

    def change(group: Dataset, k: int) -> None:
        group.PlanePositionSequence[0].ImagePositionPatient = [1, 2, 3 + 2.5 * places[k]]
        group.FrameContentSequence[0].TemporalPositionIndex = k % 2 + 1

    return write_enhanced(folder / "enhanced.dcm", noise((12, 10, 12)), change)


def compressed(folder: Path) -> Path:
    def change(dataset: Any, k: int) -> None:
        dataset.compress(RLELossless if k % 2 else JPEGLSLossless)

    return write_series(folder, noise(dtype=np.uint16), change)


def pet(folder: Path) -> Path:
    def change(dataset: Any, k: int) -> None:
        uid = PositronEmissionTomographyImageStorage
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid
        dataset.Modality = "PT"
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + 0.25 * k, 0

    return write_series(folder, noise(), change)


def two_series(folder: Path) -> Path:
    write_series(folder, noise(), uid=OTHER, prefix="A")
    return classic_mr(folder)


SOURCES: Mapping[str, tuple[Callable[[Path], Path], str | None]] = {
    "classic MR": (classic_mr, None),
    "CT with rescale": (ct, None),
    "oblique": (oblique, None),
    "sagittal with jitter": (sagittal_with_jitter, None),
    "enhanced MR with two times": (enhanced_with_two_times, "2"),
    "compressed": (compressed, None),
    "PET with slopes": (pet, None),
    "two series": (two_series, OTHER),
}
