"""The voxels of DICOM results: the same values at the same place, decoded by the test itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

import fedcross
from dicom_sources import OTHER, SOURCES
from fedcross.model.bundle import Bundle

FILES = ("segmentation.dcm", "probability.dcm", "uncertainty.dcm")


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str | None]:
    make, series = SOURCES[request.param]
    return make(tmp_path / "source"), series


def read(folder: Path) -> tuple[Dataset, ...]:
    return tuple(pydicom.dcmread(folder / name) for name in FILES)


def stored_frames(made: Dataset) -> Iterator[tuple[Dataset, NDArray[Any]]]:
    """Yield the functional groups and the stored values of each frame."""
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
    """Return the values above 0 by (segment, x, y, z), places in LPS, rounded to 0.001 mm."""
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
