"""DICOM files of a result that was computed before: equal to those of `--dicom`, or one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from dicom_files import write_enhanced
from dicom_sources import OTHER, SOURCES, noise
from fedcross.contract.dicom import REQUEST, DicomRequest
from fedcross.contract.files import DESCRIPTION, DICOM_FILES, ENSEMBLE, UNCERTAINTY
from fedcross.contract.request import SegmentRequest
from fedcross.infer import __main__, save_dicom
from fedcross.infer.results import for_dicom
from fedcross.infer.results.for_dicom import from_levels, to_levels
from fedcross.model.bundle import Bundle
from fedcross.volumes.files.read import read_volume
from fedcross.volumes.files.write import write_volume
from fedcross.volumes.structure import slug

VOLATILE = {
    *("SOPInstanceUID", "SeriesInstanceUID", "InstanceCreationDate", "InstanceCreationTime"),
    *(
        "ContentDate",
        "ContentTime",
        "SeriesDate",
        "SeriesTime",
        "DimensionOrganizationUID",
        "ContributionDateTime",
    ),
}
"""Elements that are new in every file."""
SEVERAL = "enhanced MR with two times"
"""The source with two volumes at the same place."""


def enhanced(folder: Path) -> Path:
    return write_enhanced(folder / "enhanced.dcm", noise())


KINDS = {kind: found for kind, found in SOURCES.items() if kind != SEVERAL} | {
    "enhanced MR": (enhanced, None)
}


def segment(bundle: Bundle, image: Path, out: Path, **options: Any) -> Path:
    request = SegmentRequest(bundle.path, image, out, device="cpu", backend="torch", **options)
    assert __main__.main(request.words()) == 0
    return out


def images(folder: Path, series: str | None = None) -> list[Path]:
    paths = [folder] if folder.is_file() else sorted(folder.iterdir())
    if series != OTHER:
        return paths
    return [path for path in paths if pydicom.dcmread(path).SeriesInstanceUID == OTHER]


def save(result: Path, files: list[Path], out: Path) -> int:
    """Make the DICOM files of a result folder as the Slicer module does."""
    description = (result / DESCRIPTION).read_text()
    DicomRequest(description, "entropy", tuple(files), out).write(result)
    return save_dicom.main([str(result)])


def comparable(dataset: Dataset) -> dict[str, Any]:
    """All elements but the volatile ones, sequences too."""
    found = {}
    for element in dataset:
        if element.keyword in VOLATILE:
            continue
        value = element.value
        if element.VR == "SQ":
            value = [comparable(item) for item in value]
        found[element.keyword] = value
    return found


@pytest.fixture
def exported(
    bundle: Bundle, asymmetric_members: None, tmp_path: Path
) -> Callable[..., tuple[Path, Path]]:
    """Makes a series and the result of its volume as a file, which knows nothing of the series."""

    def make(kind: str, **options: Any) -> tuple[Path, Path]:
        write, series = (SOURCES | KINDS)[kind]
        folder = write(tmp_path / "source")
        write_volume(read_volume(folder, series), tmp_path / "volume.nrrd")
        result = segment(
            bundle, tmp_path / "volume.nrrd", tmp_path / "result", for_dicom=True, **options
        )
        return folder, result

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_those_of_a_segmentation_of_the_series(
    bundle: Bundle, exported: Callable[..., tuple[Path, Path]], kind: str, tmp_path: Path
) -> None:
    series = KINDS[kind][1]
    folder, result = exported(kind)
    wanted = segment(
        bundle, folder, tmp_path / "wanted", dicom=True, series=(series,) if series else ()
    )
    assert save(result, images(folder, series)[::-1], tmp_path / "made") == 0
    for name in DICOM_FILES:
        made, direct = (pydicom.dcmread(each / name) for each in (tmp_path / "made", wanted))
        assert made.pixel_array.any()
        assert comparable(made) == comparable(direct)


def test_every_stored_value_survives_the_way_to_a_probability_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_levels(from_levels(levels)), levels)
    # 0.5 / 255 and 1.5 / 255 lie between two values; rounded to the even one as NumPy rounds.
    assert to_levels(np.float32([0, 0.0019, 0.002, 0.5, 1, 1.0000002])).tolist() == [
        *(0, 0, 1, 128, 255, 255)
    ]


def test_the_volume_holds_the_label_map_and_one_block_for_each_structure(
    exported: Callable[..., tuple[Path, Path]],
) -> None:
    _folder, result = exported("classic MR", save_probabilities=True)
    blocks = sitk.GetArrayFromImage(sitk.ReadImage(str(result / ENSEMBLE))).reshape(3, 6, 10, 12)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(result / "segmentation.seg.nrrd")))
    np.testing.assert_array_equal(blocks[0] > 0, labels > 0)
    description = json.loads((result / DESCRIPTION).read_text())
    assert set(json.loads((result / "summary.json").read_text())["files"]) >= {
        *("ensemble", "description")
    }
    for block, structure in zip(blocks[1:], description["structures"], strict=True):
        name = f"probability_{slug(structure['name'])}.nrrd"
        mean = sitk.GetArrayFromImage(sitk.ReadImage(str(result / name)))
        np.testing.assert_allclose(block / 255, mean, atol=0.5 / 255 + 1e-6)


def test_a_large_volume_is_segmented_but_not_kept(
    exported: Callable[..., tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(for_dicom, "MAX_BYTES", 3 * 6 * 10 * 12 - 1)
    _folder, result = exported("classic MR")
    assert (result / "segmentation.seg.nrrd").exists()
    assert not (result / ENSEMBLE).exists()
    assert not (result / DESCRIPTION).exists()


def no_file(folder: Path, result: Path) -> None:
    (folder / "IM003.dcm").unlink()


def no_image(folder: Path, result: Path) -> None:
    (folder / "IM003.dcm").write_text("hello")


def another_place(folder: Path, result: Path) -> None:
    for path in folder.iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.ImagePositionPatient[0] += 5
        slice_.save_as(path)


def other_labels(folder: Path, result: Path) -> None:
    image = sitk.ReadImage(str(result / ENSEMBLE))
    sitk.WriteImage(image + 3, str(result / ENSEMBLE))


def another_type(folder: Path, result: Path) -> None:
    image = sitk.Cast(sitk.ReadImage(str(result / ENSEMBLE)), sitk.sitkFloat32)
    sitk.WriteImage(image, str(result / ENSEMBLE))


def another_map(folder: Path, result: Path) -> None:
    image = sitk.ReadImage(str(result / UNCERTAINTY))
    sitk.WriteImage(image[:, :, 1:], str(result / UNCERTAINTY))


def no_description(folder: Path, result: Path) -> None:
    (result / DESCRIPTION).write_text('{"name": 1}')


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (no_file, "IM003.dcm"),
        (no_image, "IM003.dcm"),
        (another_place, "holds no volume with the voxels of the result"),
        (other_labels, "is damaged"),
        (another_type, "is damaged"),
        (another_map, "is damaged"),
        (no_description, "is damaged"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_one_sentence_and_writes_nothing(
    exported: Callable[..., tuple[Path, Path]],
    harm: Callable[[Path, Path], None],
    sentence: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, result = exported("classic MR")
    files = images(folder)
    harm(folder, result)
    capfd.readouterr()
    assert save(result, files, tmp_path / "made") == 2
    event = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert event["event"] == "error"
    assert sentence in event["message"]
    assert not list((tmp_path / "made").glob("*"))


@pytest.mark.parametrize("kind", ["two series", SEVERAL])
def test_two_volumes_at_the_same_place_are_refused(
    exported: Callable[..., tuple[Path, Path]],
    kind: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, result = exported(kind)
    assert save(result, images(folder), tmp_path / "made") == 2
    assert "holds 2 volumes at the place of the result" in capfd.readouterr().out


def test_files_of_the_series_are_not_replaced(
    exported: Callable[..., tuple[Path, Path]], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, result = exported("classic MR")
    (folder / "IM000.dcm").rename(folder / "uncertainty.dcm")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert save(result, images(folder), folder) == 2
    assert "would replace uncertainty.dcm of the series" in capfd.readouterr().out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_other_files_in_the_folder_stay_and_older_dicom_files_are_replaced(
    exported: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    folder, result = exported("classic MR")
    out = tmp_path / "made"
    out.mkdir()
    for name in ("notes.txt", "summary.json", "probability.dcm"):
        (out / name).write_text("old")
    assert save(result, images(folder), out) == 0
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*DICOM_FILES, "notes.txt", "summary.json"]
    )
    assert (out / "summary.json").read_text() == "old"
    assert pydicom.dcmread(out / "probability.dcm").SegmentationType == "FRACTIONAL"


def test_without_highdicom_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(save_dicom.importlib.util, "find_spec", lambda _name: None)
    assert save_dicom.main([str(tmp_path)]) == 2
    assert "need highdicom, which is not installed" in capfd.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"description": "", "measure": "guess", "out": "o", "files": []}',
        '{"description": "", "measure": "std", "out": "o", "files": ["a\\u0000b"]}',
        "{" * 9999,
    ],
)
def test_an_incomplete_request_is_refused(
    tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / REQUEST).write_text(text)
    assert save_dicom.main([str(tmp_path)]) == 2
    assert "holds no complete request.json" in capfd.readouterr().out
    assert save_dicom.main([]) == 2


def test_a_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    request = DicomRequest("{}", "std", (Path("a b.dcm"), Path("ä.dcm")), Path("out"))
    request.write(tmp_path)
    assert DicomRequest.read(tmp_path) == request
