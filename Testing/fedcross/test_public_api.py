"""`import fedcross`: names are loaded at their first use; arrays are those of the files."""

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import fedcross
from fedcross.contract.files import OUTLINES, SEGMENTATION, UNCERTAINTY, is_result_file
from fedcross.contract.measures import DEFAULT_MEASURE
from fedcross.contract.request import SegmentRequest
from fedcross.errors import BundleError, ConfigError, DataError, DeviceError, OutputError
from fedcross.infer.__main__ import main
from fedcross.infer.results.summary import Summary
from fedcross.model.bundle import Bundle
from fedcross.model.bundle_zip import pack_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.runtime.versions import package_versions
from fedcross.volumes.region import Region
from tiny_ensemble import *  # noqa: F403 - the fixtures of this file
from tiny_federation import write_federation

SPACING_MM = (1.1, 0.9, 2.5)
ORIGIN_MM = (-31.5, 12.25, 100.125)
OBLIQUE = ((0.8, 0.0, 0.6), (-0.6, 0.0, 0.8), (0.0, -1.0, 0.0))
"""Columns are the axes: turned about the patient's long axis, and stored coronally."""


def python(code: str) -> list[str]:
    """The words that a program prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


# ---- The names.


def test_the_import_loads_the_standard_library_only() -> None:
    loaded = python(
        "import sys; before = set(sys.modules); import fedcross; dir(fedcross); "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    assert set(loaded) - sys.stdlib_module_names == {"fedcross"}


def test_statistics_of_own_members_need_neither_torch_nor_simpleitk() -> None:
    loaded = python(
        "import sys, fedcross; fedcross.EnsembleStatistics, fedcross.find_hotspots, fedcross.dice; "
        "print(*{'torch', 'SimpleITK', 'monai'} & set(sys.modules))"
    )
    assert loaded == []


@pytest.mark.parametrize("name", fedcross.__all__)
def test_every_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(fedcross, name)
    assert name in dir(fedcross)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__name__ == name
        assert len(inspect.getdoc(value) or "") > 20


def test_a_name_is_the_object_of_its_module() -> None:
    from fedcross.infer.in_memory import segment
    from fedcross.uncertainty.statistics import EnsembleStatistics

    assert fedcross.segment is segment
    assert fedcross.EnsembleStatistics is EnsembleStatistics


def test_type_checkers_and_python_find_the_same_names_in_the_same_modules() -> None:
    tree = ast.parse(Path(fedcross.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        node.names[0].name: (node.module or "").removeprefix("fedcross.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }
    assert typed == fedcross._MODULE_OF


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'segmnet'"):
        fedcross.segmnet  # noqa: B018


def test_the_version_is_the_one_in_results() -> None:
    assert package_versions()["fedcross"] == fedcross.__version__


# ---- Segmentation in memory.


@pytest.fixture
def oblique(volume: sitk.Image) -> sitk.Image:
    image = sitk.Image(volume)
    image.SetDirection(np.ravel(OBLIQUE).tolist())
    return image


@pytest.fixture
def written(bundle: Bundle, oblique: sitk.Image, tmp_path: Path) -> Path:
    """The folder that the command line fills for the oblique volume; beside it ``in.nrrd``."""
    sitk.WriteImage(oblique, str(tmp_path / "in.nrrd"))
    request = SegmentRequest(
        bundle.path,
        tmp_path / "in.nrrd",
        tmp_path / "out",
        device="cpu",
        save_probabilities=True,
        save_members=True,
        for_viewer=True,
    )
    assert main(request.words()) == 0
    return tmp_path / "out"


@pytest.fixture
def empty_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def same_numbers(summary: Summary) -> dict[str, Any]:
    """What does not depend on the time, nor on whether files were written."""
    content = summary.model_dump(exclude={"created", "timings_s", "files"})
    for each in content["uncertainty_maps"].values():
        del each["file"]
    return content


@pytest.mark.usefixtures("asymmetric_members")
@pytest.mark.parametrize("given", ["array", "image", "file", "text"])
def test_arrays_are_those_of_the_files_to_the_bit(
    given: str,
    bundle: Bundle,
    oblique: sitk.Image,
    written: Path,
    empty_temporary: Path,
) -> None:
    path = written.parent / "in.nrrd"
    image: Any = {
        "array": sitk.GetArrayFromImage(oblique),
        "image": oblique,
        "file": path,
        "text": str(path),
    }[given]
    geometry: Any = {}
    if given == "array":
        geometry = {"spacing_mm": SPACING_MM, "origin_mm": ORIGIN_MM, "direction": OBLIQUE}
    before = set(written.parent.iterdir())

    result = fedcross.segment(image, bundle, device="cpu", for_viewer=True, **geometry)

    assert set(written.parent.iterdir()) == before
    assert list(empty_temporary.iterdir()) == []
    assert result.labels.dtype == np.uint8
    np.testing.assert_array_equal(result.labels, read(written / SEGMENTATION))
    assert set(np.unique(result.labels)) == {0, 1, 2}
    assert set(result.measures) == set(fedcross.MEASURES)
    for name, heat in result.measures.items():
        file = UNCERTAINTY if name == DEFAULT_MEASURE else f"uncertainty_{name}.nrrd"
        assert heat.dtype == np.float32
        np.testing.assert_array_equal(heat, read(written / file))
    assert list(result.probabilities) == ["Left kidney", "Tumor, solid"]
    for name, slug in (("Left kidney", "left_kidney"), ("Tumor, solid", "tumor_solid")):
        file = f"probability_{slug}.nrrd"
        np.testing.assert_array_equal(result.probabilities[name], read(written / file))
    assert len(result.member_labels) == 3
    for index, labels in enumerate(result.member_labels):
        np.testing.assert_array_equal(labels, read(written / f"member_{index}.seg.nrrd"))
    on_disk = Summary.model_validate_json((written / "summary.json").read_text(encoding="utf-8"))
    assert same_numbers(result.summary) == same_numbers(on_disk)
    assert result.summary.files == {}
    there = sitk.ReadImage(str(written / UNCERTAINTY))
    here = result.image(result.measures["std"])
    assert here.GetSpacing() == pytest.approx(there.GetSpacing())
    assert here.GetOrigin() == pytest.approx(there.GetOrigin())
    assert here.GetDirection() == pytest.approx(there.GetDirection())


def test_a_folder_gets_the_files_of_the_command_line(
    bundle: Bundle, written: Path, tmp_path: Path
) -> None:
    result = fedcross.segment(
        sitk.ReadImage(str(tmp_path / "in.nrrd")),  # a header of text rounds the geometry
        str(bundle.path),
        out=str(tmp_path / "python"),
        device="cpu",
        save_probabilities=True,
        save_members=True,
        for_viewer=True,
    )
    names = {path.name for path in written.iterdir()}
    assert OUTLINES in names
    assert all(map(is_result_file, names))
    assert {path.name for path in (tmp_path / "python").iterdir()} == names
    for name in names - {"summary.json"}:
        assert (tmp_path / "python" / name).read_bytes() == (written / name).read_bytes()
    on_disk = Summary.model_validate_json((tmp_path / "python" / "summary.json").read_text())
    assert result.summary == on_disk


@pytest.mark.usefixtures("asymmetric_members")
def test_only_the_requested_arrays_are_returned(bundle: Bundle, volume: sitk.Image) -> None:
    result = fedcross.segment(
        volume, bundle, measure="entropy", measures=["std"], probabilities=False, device="cpu"
    )
    assert list(result.measures) == ["std", "entropy"]
    assert result.probabilities == {}
    assert result.summary.measure == "entropy"
    assert result.summary.uncertainty.max == float(result.measures["entropy"].max())


@pytest.mark.usefixtures("asymmetric_members")
def test_a_region_is_a_box_or_its_file(
    bundle: Bundle, volume: sitk.Image, image_path: Path, tmp_path: Path
) -> None:
    centre = np.array(volume.TransformContinuousIndexToPhysicalPoint((20, 15, 9)))
    box = Region(centre, np.array((8.0, 6.0, 10.0)), np.eye(3))
    (tmp_path / "roi.json").write_text(
        f'{{"center_mm": {centre.tolist()}, "size_mm": [16, 12, 20], '
        '"axes": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}'
    )
    by_box = fedcross.segment(volume, bundle, roi=box, device="cpu")
    by_file = fedcross.segment(image_path, bundle, roi=str(tmp_path / "roi.json"), device="cpu")
    np.testing.assert_array_equal(by_box.labels, by_file.labels)
    assert by_box.summary.roi
    outside = ~box.mask(by_box.grid)
    for array in (*by_box.measures.values(), *by_box.probabilities.values(), by_box.labels):
        assert not array[outside].any()
        assert array[~outside].any()


@pytest.mark.parametrize("kind", [np.bool_, np.int16, ">i2", np.float16, np.float64])
def test_arrays_of_every_real_type_are_segmented(bundle: Bundle, kind: Any, tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 2, (6, 20, 24)).astype(kind)
    result = fedcross.segment(voxels, bundle, spacing_mm=(1, 1, 2), device="cpu")
    exact = voxels.astype(np.float64)
    same = fedcross.segment(exact, bundle, spacing_mm=np.array((1, 1, 2)), device="cpu")
    np.testing.assert_array_equal(result.measures["std"], same.measures["std"])


def test_an_array_in_any_order_of_memory_is_the_same_volume(bundle: Bundle) -> None:
    voxels = np.random.default_rng(0).random((6, 20, 24), np.float32)
    first = fedcross.segment(voxels, bundle, spacing_mm=(1, 1, 2), device="cpu")
    turned = np.asfortranarray(voxels)
    second = fedcross.segment(turned, bundle, spacing_mm=(1, 1, 2), device="cpu")
    np.testing.assert_array_equal(first.labels, second.labels)


def test_a_zip_an_opened_bundle_and_kept_models_give_the_same(
    bundle: Bundle, volume: sitk.Image, tmp_path: Path
) -> None:
    pack_bundle(bundle.path, tmp_path / "tiny.zip")
    with fedcross.open_bundle(str(tmp_path / "tiny.zip")) as opened, fedcross.WarmModels() as kept:
        results = [
            fedcross.segment(volume, opened, device="cpu"),
            fedcross.segment(volume, tmp_path / "tiny.zip", device="cpu", models=kept),
            fedcross.segment(volume, str(tmp_path / "tiny.zip"), device="cpu", models=kept),
        ]
    for result in results:
        np.testing.assert_array_equal(result.measures["std"], results[0].measures["std"])


def test_a_reporter_receives_the_stages(bundle: Bundle, volume: sitk.Image) -> None:
    class Stages(NullReporter):
        names: list[str] = []  # noqa: RUF012

        def stage(self, name: str, message: str) -> None:
            self.names.append(name)

    fedcross.segment(volume, bundle, device="cpu", reporter=Stages())
    assert Stages.names == ["open", "read", "preprocess", "ensemble", "combine"]


VOXELS = np.zeros((4, 5, 6), np.float32)
TWISTED = ((1, 0.5, 0), (0, 1, 0), (0, 0, 1))


@pytest.mark.parametrize(
    ("image", "options", "kind", "message"),
    [
        (VOXELS, {"spacing_mm": None}, ConfigError, "spacing_mm is missing"),
        (VOXELS, {"spacing_mm": (1, 1)}, ConfigError, "spacing_mm must be three finite numbers"),
        (VOXELS, {"spacing_mm": 1.0}, ConfigError, "spacing_mm must be three finite numbers"),
        (VOXELS, {"spacing_mm": "abc"}, ConfigError, "spacing_mm must be three finite numbers"),
        (VOXELS, {"spacing_mm": (1, 1, np.nan)}, ConfigError, "three finite numbers"),
        (VOXELS, {"spacing_mm": (1, 0, 1)}, ConfigError, "spacing_mm must be above 0"),
        (VOXELS, {"origin_mm": (0, np.inf, 0)}, ConfigError, "origin_mm must be three finite"),
        (VOXELS, {"direction": TWISTED}, ConfigError, "at right angles"),
        (VOXELS, {"direction": np.zeros((3, 3))}, ConfigError, "at right angles"),
        (VOXELS, {"direction": np.full((3, 3), np.nan)}, ConfigError, "at right angles"),
        (VOXELS, {"direction": np.eye(4)}, ConfigError, "3 x 3"),
        (VOXELS, {"direction": "RAS"}, ConfigError, "3 x 3"),
        (VOXELS[0], {}, DataError, "3D array .* shape \\(5, 6\\)"),
        (VOXELS[None], {}, DataError, "3D array"),
        (VOXELS[:0], {}, DataError, "3D array"),
        (VOXELS.astype(complex), {}, DataError, "real numbers, got the type complex128"),
        (VOXELS.astype(object), {}, DataError, "real numbers, got the type object"),
        (np.full_like(VOXELS, np.nan), {}, DataError, "120 voxels that are not finite"),
        ([[[1.0]]], {"spacing_mm": None}, ConfigError, "must be a path, a SimpleITK image"),
        (
            sitk.GetImageFromArray(VOXELS),
            {},
            ConfigError,
            "spacing_mm, origin_mm and direction are for arrays",
        ),
        (sitk.Image(4, 5, sitk.sitkInt16), {"spacing_mm": None}, DataError, "2 dimensions"),
        (
            sitk.Image((4, 5, 6), sitk.sitkVectorFloat32, 3),
            {"spacing_mm": None},
            DataError,
            "several values in every voxel",
        ),
        ("absent.nrrd", {"spacing_mm": None}, DataError, "no file or folder named absent.nrrd"),
        (VOXELS, {"measure": "variance"}, ConfigError, "no measure 'variance'"),
        (VOXELS, {"measures": ["variance"]}, ConfigError, "no measure 'variance'"),
        (VOXELS, {"precision": "fp8"}, ConfigError, "fp8"),
        (VOXELS, {"backend": "magic"}, ConfigError, "magic"),
        (VOXELS, {"device": "abacus"}, DeviceError, "abacus"),
        (VOXELS, {"roi": "absent.json"}, ConfigError, "absent.json"),
    ],
)
def test_an_argument_that_cannot_be_used_is_one_sentence(
    bundle: Bundle, image: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        fedcross.segment(image, bundle, **{"spacing_mm": (1, 1, 1), "device": "cpu", **options})
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, fedcross.FedCrossError)


def test_a_missing_bundle_and_an_array_of_another_shape_are_refused(
    bundle: Bundle, volume: sitk.Image, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="There is no bundle"):
        fedcross.segment(volume, tmp_path / "absent")
    result = fedcross.segment(volume, bundle, device="cpu")
    with pytest.raises(ConfigError, match="must have the shape"):
        result.image(result.labels[1:])


def test_the_results_never_replace_the_input(
    bundle: Bundle, volume: sitk.Image, tmp_path: Path
) -> None:
    path = tmp_path / UNCERTAINTY
    sitk.WriteImage(volume, str(path))
    with pytest.raises(OutputError, match="would replace the input"):
        fedcross.segment(path, bundle, out=tmp_path, device="cpu")


# ---- Training.


def test_a_federation_is_trained_exported_and_used_from_python(tmp_path: Path) -> None:
    config = write_federation(tmp_path / "federation")
    run = fedcross.train(str(config), str(tmp_path / "run"), device="cpu")
    made = fedcross.export(run, str(tmp_path / "bundle"))
    assert (run / "test.json").is_file()
    with fedcross.open_bundle(tmp_path / "bundle") as bundle:
        assert bundle.sha256 == made.sha256
        assert len(bundle.manifest.members) == 2
    image = tmp_path / "federation" / "s0" / "images" / "case-0.nii.gz"
    result = fedcross.segment(image, tmp_path / "bundle", device="cpu")
    assert result.labels.shape == (18, 20, 36)
    assert list(result.probabilities) == ["Blob"]
    assert result.summary.structures[0].name == "Blob"


def test_a_configuration_is_a_file_a_mapping_or_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_federation(tmp_path)
    read = fedcross.load_config(str(path))
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert fedcross.load_config(values) == read
    assert fedcross.load_config(read) == read
    elsewhere = fedcross.load_config(read, data_root="data", cache="cache")
    assert elsewhere.data_root == tmp_path / "data"
    assert elsewhere.cache == tmp_path / "cache"
    with pytest.raises(ConfigError, match="The configuration: "):
        fedcross.load_config({**values, "rounds": 3})


def test_methods_are_compared_from_python(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    config = write_federation(tmp_path / "federation")
    page = fedcross.compare(
        config, tmp_path / "comparison", methods=["fedcross", "fedavg"], seeds=1, device="cpu"
    )
    assert page.is_file()
    assert (tmp_path / "comparison" / "comparison.csv").is_file()
