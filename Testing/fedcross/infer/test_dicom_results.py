"""Results as DICOM: the same voxels at the same place, read back in two ways, and whose they are."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    JPEGLSLossless,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

import fedcross
from dicom_files import item, write_enhanced, write_series
from fedcross.contract.request import SegmentRequest
from fedcross.errors import ConfigError, DataError, OutputError
from fedcross.infer.__main__ import main
from fedcross.model.bundle import Bundle

FILES = ("segmentation.dcm", "probability.dcm", "uncertainty.dcm")
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


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str | None]:
    make, series = SOURCES[request.param]
    return make(tmp_path / "source"), series


def read(folder: Path) -> tuple[Dataset, ...]:
    return tuple(pydicom.dcmread(folder / name) for name in FILES)


def stored_frames(made: Dataset) -> Iterator[tuple[Dataset, NDArray[Any]]]:
    """Yield the functional groups and the stored values of each frame, without a DICOM library's decoder."""
    count, rows, columns = int(made.NumberOfFrames), made.Rows, made.Columns
    if "FloatPixelData" in made:
        values = np.frombuffer(made.FloatPixelData, "<f4")
    elif made.BitsAllocated == 1:
        values = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")
    else:
        values = np.frombuffer(made.PixelData, np.uint8)
    voxels = values[: count * rows * columns].reshape(count, rows, columns)
    yield from zip(made.PerFrameFunctionalGroupsSequence, voxels, strict=True)


def number_of(group: Dataset, made: Dataset) -> int:
    for each in (group, made.SharedFunctionalGroupsSequence[0]):
        if "SegmentIdentificationSequence" in each:
            return int(each.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    return 1


def values_by_place(made: Dataset) -> dict[tuple[float, ...], float]:
    """Return the values above 0 by (segment, x, y, z), places in LPS, rounded to a thousandth of a mm."""
    shared = made.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    row_mm, column_mm = (float(each) for each in shared.PixelMeasuresSequence[0].PixelSpacing)
    found = {}
    for group, plane in stored_frames(made):
        corner = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for row, column in zip(*np.nonzero(plane), strict=True):
            place = corner + column * column_mm * cosines[:3] + row * row_mm * cosines[3:]
            key = (number_of(group, made), *np.round(place, 3))
            assert key not in found
            found[key] = float(plane[row, column])
    return found


def expected_places(
    values: NDArray[Any], grid: Any, number: int, corners: NDArray[np.float64]
) -> dict[tuple[float, ...], float]:
    """Return what `values_by_place` finds for an array (z, y, x), slices at the given corners."""
    step = grid.axes * np.array(grid.spacing_mm)
    return {
        (number, *np.round(corners[z] + x * step[:, 0] + y * step[:, 1], 3)): float(values[z, y, x])
        for z, y, x in zip(*np.nonzero(values), strict=True)
    }


def corners_of(folder: Path, series: str | None, grid: Any) -> NDArray[np.float64]:
    """The first voxel of every slice as the source says it, in the order of the volume."""
    places = []
    files = [folder] if folder.is_file() else sorted(folder.iterdir())
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if series == OTHER and header.SeriesInstanceUID != OTHER:
            continue
        groups = header.get("PerFrameFunctionalGroupsSequence")
        if groups is None:
            places.append(header.ImagePositionPatient)
        else:
            places += [each.PlanePositionSequence[0].ImagePositionPatient for each in groups[1::2]]
    corners = np.array(places, dtype=float)
    return corners[np.argsort(corners @ grid.axes[:, 2])]


def test_every_voxel_is_read_back_at_its_place(
    bundle: Bundle, asymmetric_members: None, source: tuple[Path, str | None], tmp_path: Path
) -> None:
    folder, series = source
    found = fedcross.segment(
        folder, bundle, series=series, out=tmp_path / "out", device="cpu", dicom=True
    )
    assert set(np.unique(found.labels)) == {0, 1, 2}
    corners = corners_of(folder, series, found.grid)
    labels, probability, uncertainty = read(tmp_path / "out")

    expected: dict[tuple[float, ...], float] = {}
    for label in (1, 2):
        mask = (found.labels == label).astype(float)
        expected |= expected_places(mask, found.grid, label, corners)
    assert values_by_place(labels) == expected

    expected = {}
    for label, name in enumerate(found.probabilities, start=1):
        stored = np.rint(found.probabilities[name] * 255)
        expected |= expected_places(stored, found.grid, label, corners)
    assert values_by_place(probability) == expected

    heat = found.measures["entropy"]
    assert values_by_place(uncertainty) == expected_places(heat, found.grid, 1, corners)


def test_every_frame_names_the_image_that_lies_at_its_place(
    bundle: Bundle, asymmetric_members: None, source: tuple[Path, str | None], tmp_path: Path
) -> None:
    folder, series = source
    fedcross.segment(folder, bundle, series=series, out=tmp_path / "out", device="cpu", dicom=True)
    images = {}
    for path in [folder] if folder.is_file() else folder.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        images[header.SOPInstanceUID] = header
    for made in read(tmp_path / "out"):
        (of_series,) = made.ReferencedSeriesSequence
        listed = {each.ReferencedSOPInstanceUID for each in of_series.ReferencedInstanceSequence}
        assert listed == {each.ReferencedSOPInstanceUID for each in made.SourceImageSequence}
        for group, _ in stored_frames(made):
            (reference,) = group.DerivationImageSequence[0].SourceImageSequence
            image = images[reference.ReferencedSOPInstanceUID]
            assert image.SOPInstanceUID in listed
            assert reference.ReferencedSOPClassUID == image.SOPClassUID
            assert of_series.SeriesInstanceUID == image.SeriesInstanceUID
            assert made.FrameOfReferenceUID == image.FrameOfReferenceUID
            place = image.get("ImagePositionPatient")
            if "PerFrameFunctionalGroupsSequence" in image:
                number = reference.ReferencedFrameNumber
                assert number % 2 == 0  # of the second time
                place = (
                    image.PerFrameFunctionalGroupsSequence[number - 1]
                    .PlanePositionSequence[0]
                    .ImagePositionPatient
                )
            assert group.PlanePositionSequence[0].ImagePositionPatient == place
