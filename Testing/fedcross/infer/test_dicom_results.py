"""Results as DICOM: valid files, whose they are, and what is refused before anything is computed."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

import fedcross
from dicom_files import write_series
from dicom_sources import OTHER, SOURCES, classic_mr, noise, person
from fedcross.contract.measures import MEASURES
from fedcross.contract.request import RequestOptions, SegmentRequest
from fedcross.errors import ConfigError, DataError, FedCrossError, OutputError
from fedcross.infer import segment as flow
from fedcross.infer.__main__ import main
from fedcross.infer.models import fresh_models
from fedcross.infer.results.dicom import codes
from fedcross.infer.segment import Job, run_job
from fedcross.model.bundle import Bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.files.dicom.source import find_source
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.structure import Code

FILES = ("segmentation.dcm", "probability.dcm", "uncertainty.dcm")
NAME = "Müller^Jürgen"


def run(image: Any, bundle: Bundle, out: Path, **options: Any) -> fedcross.Segmentation:
    return fedcross.segment(image, bundle, out=out, device="cpu", dicom=True, **options)


def read(folder: Path) -> tuple[Dataset, ...]:
    return tuple(pydicom.dcmread(folder / name) for name in FILES)


@pytest.fixture
def mr(tmp_path: Path) -> Path:
    return classic_mr(tmp_path / "mr")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy of dicom3tools is not there")
@pytest.mark.parametrize("kind", SOURCES)
def test_dciodvfy_finds_no_error(
    bundle: Bundle, asymmetric_members: None, kind: str, tmp_path: Path
) -> None:
    make, series = SOURCES[kind]
    run(make(tmp_path / "source"), bundle, tmp_path / "out", series=series)
    for name, iod in zip(FILES, ("Segmentation", "Segmentation", "ParametricMap"), strict=True):
        done = subprocess.run(
            ["dciodvfy", tmp_path / "out" / name], capture_output=True, text=True, check=False
        )
        lines = (done.stdout + done.stderr).splitlines()
        assert iod in lines
        assert [line for line in lines if "Error" in line] == []


@pytest.mark.parametrize("is_labelmap", [False, True])
def test_highdicom_reads_the_same_arrays(
    bundle: Bundle, asymmetric_members: None, mr: Path, tmp_path: Path, is_labelmap: bool
) -> None:
    found = run(mr, bundle, tmp_path / "out", dicom_labelmap=is_labelmap)
    labels, probability, uncertainty = (tmp_path / "out" / name for name in FILES)

    made = hd.seg.segread(labels)
    kind = "LABELMAP" if is_labelmap else "BINARY"
    assert made.segmentation_type == hd.seg.SegmentationTypeValues(kind)
    whole = made.get_volume(combine_segments=True, allow_missing_positions=True)
    np.testing.assert_array_equal(on_grid(whole, found), found.labels)
    fractions = hd.seg.segread(probability).get_volume(allow_missing_positions=True)
    for index, mean in enumerate(found.probabilities.values()):
        channel = fractions.with_array(fractions.array[..., index])
        np.testing.assert_allclose(on_grid(channel, found), mean, atol=0.5 / 255 + 1e-6)
    heat = hd.imread(uncertainty).get_volume()
    np.testing.assert_array_equal(on_grid(heat, found), found.measures["entropy"])


def on_grid(volume: hd.Volume, found: fedcross.Segmentation) -> Any:
    """The array of a volume of highdicom on the grid (z, y, x); 0 where it has no slice."""
    values = np.zeros(found.grid.shape, volume.array.dtype)
    places = np.indices(volume.array.shape).reshape(3, -1).T
    world = np.c_[volume.map_indices_to_reference(places), np.ones(len(places))]
    x, y, z, _ = np.rint(np.linalg.inv(found.grid.index_to_world) @ world.T).astype(int)
    values[z, y, x] = volume.array.ravel()
    return values


def test_patient_and_study_are_those_of_the_source_and_stay_in_the_dicom_files(
    bundle: Bundle, mr: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    request = SegmentRequest(bundle.path, mr, tmp_path / "out", device="cpu", dicom=True)
    assert main(request.words()) == 0
    source = pydicom.dcmread(mr / "IM000.dcm")
    for made in read(tmp_path / "out"):
        assert str(made.PatientName) == NAME
        for keyword in (
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyInstanceUID",
            "StudyID",
        ):
            assert made[keyword].value == source[keyword].value
        assert made.SeriesInstanceUID != source.SeriesInstanceUID
    numbers = [made.SeriesNumber for made in read(tmp_path / "out")]
    assert numbers == [401, 402, 403]  # the source is series 4
    out, err = capfd.readouterr()
    text = (tmp_path / "out" / "summary.json").read_text() + out + err
    secrets = ("Müller", "ID-4711", "19500102", source.StudyInstanceUID, str(tmp_path))
    assert not any(secret in text for secret in secrets)
    files = json.loads((tmp_path / "out" / "summary.json").read_text())["files"]
    assert files["dicom_segmentation"] == FILES[0]
    assert files["segmentation"] == "segmentation.seg.nrrd"


def test_segments_name_structure_codes_colour_and_algorithm(
    bundle: Bundle, mr: Path, tmp_path: Path
) -> None:
    run(mr, bundle, tmp_path / "out")
    for made in read(tmp_path / "out")[:2]:
        kidney, tumor = made.SegmentSequence
        assert (kidney.SegmentNumber, kidney.SegmentLabel) == (1, "Left kidney")
        assert kidney.SegmentedPropertyTypeCodeSequence[0].CodeValue == "64033007"
        assert kidney.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "123037004"
        assert tumor.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Organ"  # it has no own
        colour = hd.color.CIELabColor.from_dicom_value(kidney.RecommendedDisplayCIELabValue)
        np.testing.assert_allclose(colour.to_rgb(), (204, 102, 51), atol=1)
        (algorithm,) = kidney.SegmentationAlgorithmIdentificationSequence
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Tiny", bundle.sha256)
        assert algorithm.AlgorithmSource == f"FedCross {fedcross.__version__}"
        assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"


@pytest.mark.parametrize("measure", codes.QUANTITIES)
def test_the_map_says_what_it_shows_and_in_which_unit(
    bundle: Bundle, mr: Path, tmp_path: Path, measure: Any
) -> None:
    run(mr, bundle, tmp_path / "out", measure=measure)
    made = read(tmp_path / "out")[2]
    (mapping,) = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    code = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == (
        codes.QUANTITIES[measure][0],
        "99FEDCROSS",
    )
    assert made.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99FEDCROSS"
    assert mapping.DoubleFloatRealWorldValueLastValueMapped >= max(
        np.frombuffer(made.FloatPixelData, "<f4")
    )


def test_a_case_without_any_structure_has_an_empty_segmentation(
    bundle: Bundle, mr: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedcross.infer.compute.label_map_of_slabs", empty_labels)
    found = run(mr, bundle, tmp_path / "out")
    assert not found.labels.any()
    made = read(tmp_path / "out")[0]
    assert not any(made.PixelData)
    assert made.NumberOfFrames == 2 * len(noise())  # DICOM has no file without a frame


def empty_labels(_mean: Any, prepared: Any, _inside: Any, doubt: Any) -> Any:
    doubt[...] = 0
    return np.zeros(prepared.source.shape, np.uint8)


def test_what_a_header_states_wrongly_becomes_empty_and_is_not_printed(
    bundle: Bundle,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def change(dataset: Any, _k: int) -> None:
        person(dataset)
        dataset.PatientName = "Roe Jane"  # without a caret
        dataset.PatientSex = "W"
        dataset.StudyDate = dataset.StudyTime = None
        del dataset.AccessionNumber

    folder = write_series(tmp_path / "s", noise(), change)
    for path in folder.iterdir():  # pydicom refuses to write such a date
        path.write_bytes(path.read_bytes().replace(b"19500102", b"1950.1.2"))
    request = SegmentRequest(bundle.path, folder, tmp_path / "out", device="cpu", dicom=True)
    assert main(request.words()) == 0
    made = read(tmp_path / "out")[0]
    assert str(made.PatientName) == "Roe Jane"
    assert not any((made.PatientSex, made.PatientBirthDate, made.StudyDate, made.AccessionNumber))
    out, err = capfd.readouterr()
    assert "Roe" not in out + err + caplog.text


def test_structures_in_other_scripts_and_long_codes_fit_into_dicom(
    make_bundle: Callable[..., Bundle], mr: Path, tmp_path: Path
) -> None:
    bundle = make_bundle()
    long = Code(value="12345678901234567", meaning="m" * 120)
    named = changed(bundle, name="前立腺 " * 30, type=long)
    run(mr, named, tmp_path / "out")
    first = read(tmp_path / "out")[0].SegmentSequence[0]
    assert first.SegmentLabel.startswith("前立腺 前立腺")
    assert len(first.SegmentLabel) <= 64
    assert first.SegmentedPropertyTypeCodeSequence[0].LongCodeValue == "12345678901234567"
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "m" * 64
    unfit = changed(bundle, type=Code(scheme="s" * 17, value="1", meaning="x"))
    with pytest.raises(ConfigError, match="longer than the 16 characters that DICOM allows"):
        run(mr, unfit, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def changed(bundle: Bundle, **fields: Any) -> Bundle:
    """Write other fields of the first structure into the manifest of a bundle."""
    path = bundle.path / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    first = metadata["fedcross"]["structures"][0]
    for key, value in fields.items():
        first[key] = value.model_dump() if isinstance(value, Code) else value
    path.write_text(json.dumps(metadata))
    return bundle


def refused(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str]:
    """The image and the message of a request that cannot be fulfilled."""

    def without(*keywords: str) -> Path:
        def change(dataset: Any, _k: int) -> None:
            for keyword in keywords:
                delattr(dataset, keyword)

        return write_series(folder / "s", noise(), change)

    if kind == "no DICOM":
        sitk.WriteImage(read_volume(without()), folder / "v.nrrd")
        return folder / "v.nrrd", "v.nrrd is no DICOM: no DICOM results can be made of it"
    if kind == "no frame of reference":
        return without("FrameOfReferenceUID"), "has no UID of its frame of reference"
    if kind == "no study":
        return without("StudyInstanceUID"), "has no UID of its study"
    if kind == "in memory":
        return read_volume(without()), "need a DICOM image, got one in memory"
    if kind == "two series":
        write_series(folder / "s", noise(), uid=OTHER, prefix="B")
        return without(), "holds 2 volumes"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    return without(), "need highdicom, which is not installed"


@pytest.mark.parametrize(
    "kind",
    [
        "no DICOM",
        "no frame of reference",
        "no study",
        "in memory",
        "two series",
        "not installed",
    ],
)
def test_what_cannot_become_dicom_is_refused_before_anything_is_computed(
    bundle: Bundle, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, message = refused(kind, tmp_path, monkeypatch)
    monkeypatch.delattr(flow, "compute")
    with pytest.raises(FedCrossError, match=message):
        run(image, bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_dicom_results_no_dicom_library_is_loaded() -> None:
    code = "import sys, fedcross.infer.segment; print(*{'highdicom', 'pydicom'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_measure_has_a_code_that_dicom_can_hold() -> None:
    assert set(codes.QUANTITIES) == set(MEASURES)
    for value, meaning in codes.QUANTITIES.values():
        assert len(value) <= 16
        assert len(meaning) <= 64


def test_dicom_results_need_a_folder(bundle: Bundle, mr: Path) -> None:
    with pytest.raises(ConfigError, match="dicom writes files, but out is missing"):
        fedcross.segment(mr, bundle, dicom=True)


def test_axes_that_are_rounded_too_coarsely_are_those_of_the_other_results(
    bundle: Bundle, tmp_path: Path
) -> None:
    def change(dataset: Any, k: int) -> None:
        dataset.ImageOrientationPatient = [0.999, 0.02, 0, -0.02, 0.9998, 0]

    found = run(write_series(tmp_path / "s", noise(), change), bundle, tmp_path / "out")
    for made in read(tmp_path / "out"):
        shared = made.SharedFunctionalGroupsSequence[0]
        axes = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3))
        np.testing.assert_allclose(axes.astype(float), found.grid.axes[:, :2].T, atol=1e-9)


def test_a_series_that_changes_meanwhile_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    first = write_series(tmp_path / "first", noise())
    second = write_series(tmp_path / "second", noise()[:-1])
    job = Job(
        (lambda: read_volume(first),),
        bundle.path,
        RequestOptions(device="cpu", dicom=True),
        out=tmp_path / "out",
        find_dicom=lambda: find_source(second),
    )
    with pytest.raises(DataError, match="The series second was changed while it was segmented"):
        run_job(job, NullReporter(), fresh_models, lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_results_never_replace_the_slices_and_are_no_slices_themselves(
    bundle: Bundle, mr: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in mr.iterdir()}
    first = run(mr, bundle, mr)  # into the folder of the slices, and once more
    second = run(mr, bundle, mr)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert all((mr / name).read_bytes() == data for name, data in before.items())
    fedcross.segment(mr, bundle, out=mr, device="cpu")  # without DICOM
    assert not any((mr / name).exists() for name in FILES)
    (mr / "IM000.dcm").rename(mr / FILES[0])
    with pytest.raises(OutputError, match=r"would replace the input segmentation\.dcm"):
        run(mr, bundle, mr)
