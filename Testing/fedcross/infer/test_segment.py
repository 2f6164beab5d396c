import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from fedcross.contract.request import RequestOptions, SegmentRequest
from fedcross.errors import (
    BundleError,
    DataError,
    DeviceError,
    FedCrossError,
    OutputError,
    PrecisionError,
)
from fedcross.infer.models import fresh_models
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import segment
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.model.bundle_zip import pack_bundle
from fedcross.runtime.reporting import NullReporter
from fedcross.uncertainty.agreement import dice
from fedcross.uncertainty.measures import MEASURES
from fedcross.volumes.grid import Grid


@dataclass
class Result:
    summary: Summary
    out: Path

    def image(self, name: str = "segmentation.seg.nrrd") -> sitk.Image:
        return sitk.ReadImage(str(self.out / name))

    def array(self, name: str = "segmentation.seg.nrrd") -> np.ndarray:
        return sitk.GetArrayFromImage(self.image(name))


@pytest.fixture
def run(bundle, tmp_path):
    """Segment an image; keyword arguments are those of a request."""

    def run(image: Path, out: str = "out", use: Bundle = bundle, **options) -> Result:
        request = SegmentRequest(use.path, image, tmp_path / out, device="cpu", **options)
        return Result(segment(request, NullReporter()), tmp_path / out)

    return run


def turned(image: sitk.Image) -> sitk.Image:
    """The same patient flipped obliquely in the scanner: a rigid motion about the world's origin."""
    rotation = sitk.Euler3DTransform()
    rotation.SetRotation(0.25, -0.35, 0.3)
    moved = sitk.Image(image)
    matrix = np.reshape(rotation.GetMatrix(), (3, 3))
    moved.SetDirection((matrix @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    moved.SetOrigin((matrix @ image.GetOrigin()).tolist())
    return moved


def turned_back(image: sitk.Image, plain: sitk.Image) -> sitk.Image:
    """Resample a result of the turned patient on the grid of the other one."""
    rotation = sitk.Euler3DTransform()
    rotation.SetRotation(0.25, -0.35, 0.3)
    return sitk.Resample(image, plain, rotation, sitk.sitkNearestNeighbor)


STORED = {
    "as int16": (".nrrd", lambda image: sitk.Cast(image * 20, sitk.sitkInt16)),
    "as float64": (".mha", lambda image: sitk.Cast(image, sitk.sitkFloat64)),
    "as nifti": (".nii.gz", lambda image: image),
    "flipped": (".nrrd", lambda image: sitk.DICOMOrient(image, "RAI")),
    "sagittal": (".nii.gz", lambda image: sitk.DICOMOrient(image, "PIR")),
    "coronal": (".mha", lambda image: sitk.DICOMOrient(image, "LSA")),
    "oblique": (".nrrd", turned),
    "oblique, permuted, flipped": (
        ".nrrd",
        lambda image: turned(sitk.DICOMOrient(sitk.Cast(image, sitk.sitkUInt16), "SRP")),
    ),
}


@pytest.mark.usefixtures("asymmetric_members")
@pytest.mark.parametrize("way", STORED)
def test_the_same_volume_stored_otherwise_is_segmented_the_same_in_space(
    run, volume, image_path, tmp_path, way
):
    suffix, store = STORED[way]
    stored_path = tmp_path / f"stored{suffix}"
    sitk.WriteImage(store(volume), str(stored_path))
    plain, stored = run(image_path, "plain"), run(stored_path, "stored")

    found = stored.image()
    if way.startswith("oblique"):
        there = turned_back(found, plain.image())
    else:
        there = sitk.Resample(found, plain.image(), sitk.Transform(), sitk.sitkNearestNeighbor)
    labels = sitk.GetArrayFromImage(there)
    for label in (1, 2):
        assert 0.02 < np.mean(plain.array() == label) < 0.5
        assert dice(labels == label, plain.array() == label) > 0.995
    given = Grid.of(sitk.ReadImage(str(stored_path)))
    for name in ("segmentation.seg.nrrd", "uncertainty.nrrd"):
        written = Grid.of(stored.image(name))
        assert written.size == given.size
        for field in ("spacing_mm", "origin_mm", "direction"):
            np.testing.assert_allclose(getattr(written, field), getattr(given, field), atol=1e-6)


@pytest.mark.usefixtures("asymmetric_members")
def test_a_flip_that_the_header_does_not_contain_changes_the_result(
    run, volume, image_path, tmp_path
):
    """With a symmetric network the test above would pass for any orientation."""
    flipped = sitk.GetImageFromArray(sitk.GetArrayFromImage(volume)[:, :, ::-1])
    flipped.CopyInformation(volume)
    sitk.WriteImage(flipped, str(tmp_path / "flipped.nrrd"))
    plain, false = run(image_path, "plain"), run(tmp_path / "flipped.nrrd", "false")
    assert dice(false.array()[:, :, ::-1] == 1, plain.array() == 1) < 0.95


def test_a_volume_of_exactly_one_patch_equals_the_plain_computation(make_bundle, run, tmp_path):
    bundle = make_bundle(members=4, structures=1, spacing_mm=(0.5, 0.5, 1.0))
    rng = np.random.default_rng(3)
    voxels = rng.normal(300, 90, (16, 32, 32)).astype(np.float32)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.5, 1.0))
    sitk.WriteImage(image, str(tmp_path / "patch.nii.gz"))

    result = run(
        tmp_path / "patch.nii.gz",
        use=bundle,
        precision="fp32",
        save_probabilities=True,
        measure="std",
    )

    standardised = (voxels - voxels.mean(dtype=np.float64)) / voxels.std(dtype=np.float64)
    batch = torch.from_numpy(standardised.astype(np.float32))[None, None]
    with torch.no_grad():
        foreground = torch.stack(
            [bundle.load_member(k)(batch).softmax(dim=1)[0, 1] for k in range(4)]
        ).numpy()
    mean, std = foreground.mean(axis=0), foreground.std(axis=0)
    assert std.max() > 0.05
    np.testing.assert_allclose(result.array("probability_left_kidney.nrrd"), mean, atol=1e-4)
    np.testing.assert_allclose(result.array("uncertainty.nrrd"), std, atol=1e-4)
    assert dice(result.array() == 1, mean > 0.5) > 0.999
    assert result.summary.precision == "fp32"


def test_the_networks_receive_intensities_as_the_bundle_says(make_bundle, run, tmp_path):
    window = {"intensity": "ct", "window": (-100.0, 200.0), "mean": 40.0, "std": 60.0}
    bundle = make_bundle(members=1, structures=1, spacing_mm=(0.5, 0.5, 1.0), **window)
    voxels = np.random.default_rng(4).normal(0, 300, (16, 32, 32)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.5, 0.5, 1.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nii.gz"))

    result = run(tmp_path / "ct.nii.gz", use=bundle, precision="fp32", save_probabilities=True)

    scaled = (voxels.clip(-100, 200).astype(np.float32) - 40) / 60
    with torch.no_grad():
        expected = bundle.load_member(0)(torch.from_numpy(scaled)[None, None]).softmax(dim=1)[0, 1]
    np.testing.assert_allclose(
        result.array("probability_left_kidney.nrrd"), expected.numpy(), atol=1e-4
    )


def test_two_runs_give_the_same_bytes(run, image_path):
    first = run(image_path, "first", save_members=True, save_probabilities=True)
    second = run(image_path, "second", save_members=True, save_probabilities=True)
    names = sorted(path.name for path in first.out.iterdir())
    assert names == [
        "member_0.seg.nrrd",
        "member_1.seg.nrrd",
        "member_2.seg.nrrd",
        "probability_left_kidney.nrrd",
        "probability_tumor_solid.nrrd",
        "segmentation.seg.nrrd",
        "summary.json",
        "uncertainty.nrrd",
    ]
    for name in set(names) - {"summary.json"}:
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes()


@pytest.mark.usefixtures("asymmetric_members")
def test_the_summary_counts_what_the_files_show(run, image_path):
    result = run(image_path, save_members=True)
    summary = result.summary
    on_disk = json.loads((result.out / "summary.json").read_text())
    assert Summary.model_validate(on_disk) == summary
    voxel_ml = 1.1 * 0.9 * 2.5 / 1000
    for structure in summary.structures:
        assert structure.volume_ml == pytest.approx(
            np.count_nonzero(result.array() == structure.label) * voxel_ml
        )
        for index, volume_ml in enumerate(structure.member_volumes_ml):
            member = result.array(f"member_{index}.seg.nrrd")
            assert volume_ml == pytest.approx(
                np.count_nonzero(member == structure.label) * voxel_ml
            )
    heat = result.array("uncertainty.nrrd")
    assert heat.dtype == np.float32
    assert summary.uncertainty.max == pytest.approx(float(heat.max()))
    assert summary.uncertainty.window_max == pytest.approx(np.log(3))  # entropy of three classes
    assert summary.hot_spot_threshold == 0.1
    assert summary.bundle.members == 3
    assert summary.geometry.size == (41, 30, 18)
    assert list(summary.timings_s) == [
        "open",
        "read",
        "preprocess",
        "ensemble",
        "combine",
        "write",
    ]
    assert summary.files == {
        "segmentation": "segmentation.seg.nrrd",
        "uncertainty": "uncertainty.nrrd",
        **{f"member_{k}": f"member_{k}.seg.nrrd" for k in range(3)},
    }


def test_the_summary_contains_no_paths(run, volume, tmp_path):
    folder = tmp_path / "Doe^Jane"
    folder.mkdir()
    sitk.WriteImage(volume, str(folder / "Doe.nrrd"))
    text = (run(folder / "Doe.nrrd").out / "summary.json").read_text()
    assert "Doe" not in text
    assert str(tmp_path) not in text


class Split(torch.nn.Module):
    """Members that agree except in bright voxels: there, half of them are sure of the foreground."""

    def __init__(self, member: int) -> None:
        super().__init__()
        self.finds_bright = member % 2 == 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = (x > 1).float()
        score = bright * (20 if self.finds_bright else -20) - 20 * (1 - bright)
        return torch.cat([torch.zeros_like(x), score], dim=1)


def test_a_region_that_half_of_the_members_find_is_a_hot_spot(
    make_bundle, run, tmp_path, monkeypatch
):
    bundle = make_bundle(members=4, structures=1, spacing_mm=(1.0, 1.0, 1.0))
    monkeypatch.setattr(Bundle, "load_member", lambda self, index, device: Split(index))
    voxels = np.zeros((16, 32, 32), np.float32)
    voxels[4:7, 10:14, 20:25] = 1
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin((100, 200, 300))
    sitk.WriteImage(image, str(tmp_path / "spot.nrrd"))

    summary = run(tmp_path / "spot.nrrd", use=bundle).summary

    (spot,) = summary.hot_spots
    assert spot.voxels == 3 * 4 * 5  # the doubt is 0.5 there, and nothing is segmented
    assert spot.volume_ml == pytest.approx(0.06)
    assert spot.peak == pytest.approx(0.5, abs=1e-6)
    assert spot.centroid_voxel == pytest.approx((22, 11.5, 5))
    assert spot.centroid_mm == pytest.approx((122, 211.5, 305))


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_requested(run, image_path, measure):
    result = run(image_path, measure=measure)
    heat = result.array("uncertainty.nrrd")
    assert result.summary.measure == measure
    assert heat.min() >= 0
    assert heat.max() <= result.summary.uncertainty.window_max + 1e-5


def test_a_single_member_has_no_disagreement_but_hot_spots(make_bundle, run, image_path):
    result = run(image_path, use=make_bundle(members=1), measure="std")
    assert not result.array("uncertainty.nrrd").any()
    assert result.summary.hot_spots
    assert result.summary.structures[0].mean_pairwise_dice is None


def test_a_zipped_bundle_gives_the_same(bundle, run, image_path, tmp_path):
    pack_bundle(bundle.path, tmp_path / "tiny.zip")
    folder = run(image_path, "folder")
    request = SegmentRequest(tmp_path / "tiny.zip", image_path, tmp_path / "zip", device="cpu")
    summary = segment(request, NullReporter())
    assert summary.bundle == folder.summary.bundle
    assert (tmp_path / "zip" / "uncertainty.nrrd").read_bytes() == (
        folder.out / "uncertainty.nrrd"
    ).read_bytes()


def test_a_constant_volume_is_segmented(run, tmp_path):
    image = sitk.GetImageFromArray(np.full((6, 20, 20), 37, np.int16))
    sitk.WriteImage(image, str(tmp_path / "constant.nii.gz"))
    result = run(tmp_path / "constant.nii.gz")
    assert result.array().shape == (6, 20, 20)
    assert np.isfinite(result.array("uncertainty.nrrd")).all()


@pytest.mark.parametrize("shape", [(1, 20, 24), (20, 1, 24), (20, 24, 1)])
@pytest.mark.usefixtures("asymmetric_members")
def test_a_volume_one_voxel_thick_is_segmented(run, tmp_path, shape):
    array = np.random.default_rng(0).random(shape).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "thin.nrrd"))
    result = run(tmp_path / "thin.nrrd")
    assert result.array().shape == shape
    assert set(np.unique(result.array())) > {0}


def test_results_of_an_earlier_run_are_replaced_and_other_files_kept(run, image_path, tmp_path):
    run(image_path, save_members=True, save_probabilities=True)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    before = (tmp_path / "out" / "summary.json").read_text()
    run(image_path, measure="entropy")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "notes.txt",
        "segmentation.seg.nrrd",
        "summary.json",
        "uncertainty.nrrd",
    ]
    assert (tmp_path / "out" / "summary.json").read_text() != before


class Failing(NullReporter):
    """Fails when a stage begins, as a full disk or a bug would."""

    def __init__(self, stage: str, error: BaseException) -> None:
        self._stage, self._error = stage, error

    def stage(self, name: str, message: str) -> None:
        if name == self._stage:
            raise self._error


@pytest.mark.parametrize("stage", ["read", "preprocess", "ensemble", "combine", "write"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a bug")])
def test_an_error_in_any_stage_leaves_nothing(bundle, image_path, tmp_path, stage, error):
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    with pytest.raises(type(error)):
        segment(request, Failing(stage, error))
    assert sorted(path.name for path in tmp_path.iterdir()) == [image_path.name]


def test_an_error_leaves_the_earlier_results(run, bundle, image_path, tmp_path):
    earlier = run(image_path)
    before = {path.name: path.read_bytes() for path in earlier.out.iterdir()}
    request = SegmentRequest(bundle.path, image_path, earlier.out, device="cpu")
    with pytest.raises(KeyboardInterrupt):
        segment(request, Failing("write", KeyboardInterrupt()))
    assert {path.name: path.read_bytes() for path in earlier.out.iterdir()} == before


def test_too_little_memory_is_one_sentence(bundle, image_path, tmp_path):
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    with pytest.raises(DeviceError, match="memory does not suffice for the volume"):
        segment(request, Failing("combine", MemoryError()))


def test_files_with_names_like_results_are_kept(run, image_path, tmp_path):
    run(image_path, save_members=True)
    kept = ["member_0_corrected.seg.nrrd", "uncertainty_mine.nrrd", "notes.txt"]
    for name in kept:
        (tmp_path / "out" / name).write_text("mine")
    result = run(image_path)
    found = {path.name for path in result.out.iterdir()}
    assert found == {*kept, "summary.json", *result.summary.files.values()}


def test_a_folder_that_is_removed_meanwhile_is_made_again(bundle, image_path, tmp_path):
    class Removing(NullReporter):
        def stage(self, name: str, message: str) -> None:
            if name == "combine":
                request.out.rmdir()

    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    segment(request, Removing())
    assert (request.out / "summary.json").exists()


def test_a_closed_output_is_not_an_error_of_the_folder(bundle, image_path, tmp_path):
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    with pytest.raises(BrokenPipeError):
        segment(request, Failing("write", BrokenPipeError()))
    assert not request.out.exists()


class Log(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


class Warnings(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: str) -> None:
        self.lines.append(message)


def test_what_does_not_fit_is_reported_and_stands_in_the_summary(bundle, tmp_path):
    path = tmp_path / "Doe^Jane.nrrd"
    image = sitk.GetImageFromArray(np.full((1, 20, 20), 7, np.int16))
    sitk.WriteImage(image, str(path))
    path.write_bytes(path.read_bytes().replace(b"left-posterior-superior", b"scanner-xyz"))
    request = SegmentRequest(bundle.path, path, tmp_path / "out", device="cpu")
    reporter = Warnings()
    summary = segment(request, reporter)
    assert reporter.lines == list(summary.warnings)
    assert json.loads((request.out / "summary.json").read_text())["warnings"] == reporter.lines
    assert [line.split(":")[0].split(",")[0] for line in reporter.lines] == [
        "The header does not state the orientation",
        "The volume is a single slice",
        "All voxels have the same value",
    ]
    assert "Jane" not in "".join(reporter.lines)


def models_in_fp16(bundle: Path, options: RequestOptions):
    """Models as on a GPU, where ``auto`` is fp16."""
    precision = "fp16" if options.precision == "auto" else options.precision
    return fresh_models(bundle, replace(options, backend="tuned", precision=precision))


@pytest.fixture
def too_large(make_bundle, tmp_path) -> Bundle:
    """A bundle whose first member computes numbers that fp16 cannot hold."""
    bundle = make_bundle()
    weights = [bundle.member_tensors(index) for index in range(len(bundle.manifest.members))]
    weights[0]["outconv.weight"] *= 1e8
    manifest = bundle.manifest.model_dump(mode="json", exclude={"members"})
    return write_bundle(tmp_path / "large", manifest, weights)


def test_numbers_too_large_for_fp16_are_computed_again_with_fp32(too_large, image_path, tmp_path):
    request = SegmentRequest(too_large.path, image_path, tmp_path / "out", device="cpu")
    log = Log()
    summary = segment(request, log, models_in_fp16)
    assert summary.precision == "fp32"
    assert log.lines == ["This bundle's numbers are too large for fp16. Computing again with fp32."]
    exact = replace(request, out=tmp_path / "exact", precision="fp32")
    segment(exact, NullReporter(), models_in_fp16)
    for file in summary.files.values():
        assert (request.out / file).read_bytes() == (exact.out / file).read_bytes()


def test_a_warning_is_reported_once_although_the_volume_is_computed_twice(
    too_large, image_path, tmp_path
):
    image = sitk.ReadImage(str(image_path))
    image.SetSpacing([4 * step for step in image.GetSpacing()])
    sitk.WriteImage(image, str(tmp_path / "coarse.nrrd"))
    request = SegmentRequest(
        too_large.path, tmp_path / "coarse.nrrd", tmp_path / "out", device="cpu"
    )
    reporter = Warnings()
    summary = segment(request, reporter, models_in_fp16)
    assert summary.precision == "fp32"
    assert len(summary.warnings) > 0
    assert reporter.lines == list(summary.warnings)


def test_requested_fp16_is_an_error_where_the_numbers_are_too_large(
    too_large, image_path, tmp_path
):
    request = SegmentRequest(
        too_large.path, image_path, tmp_path / "out", device="cpu", precision="fp16"
    )
    with pytest.raises(PrecisionError, match="Use --precision fp32"):
        segment(request, NullReporter(), models_in_fp16)
    assert not request.out.exists()


class Stages(NullReporter):
    def __init__(self) -> None:
        self.names: list[str] = []

    def stage(self, name: str, message: str) -> None:
        self.names.append(name)


def refusal(request: SegmentRequest, kind: type[FedCrossError], *, before: str) -> str:
    """Return the error's sentence, which comes before the stage `before`."""
    reporter = Stages()
    with pytest.raises(kind) as caught:
        segment(request, reporter)
    assert before not in reporter.names
    return str(caught.value)


def test_an_output_folder_below_a_file_is_refused_before_reading(bundle, image_path):
    request = SegmentRequest(bundle.path, image_path, image_path / "out", device="cpu")
    message = refusal(request, OutputError, before="read")
    assert message.startswith("Nothing can be written to the folder out")


def test_a_file_in_place_of_the_output_folder_is_refused(bundle, image_path):
    request = SegmentRequest(bundle.path, image_path, image_path, device="cpu")
    refusal(request, OutputError, before="read")


def test_a_read_only_output_folder_is_refused_before_reading(bundle, image_path, tmp_path):
    out = tmp_path / "locked"
    out.mkdir(mode=0o500)
    try:
        (out / "probe").touch()
    except PermissionError:
        pass
    else:  # root may write to every folder but those of the kernel
        out = Path("/proc/self/fdinfo")
        if not out.is_dir():
            pytest.skip("this user may write to every folder")
    request = SegmentRequest(bundle.path, image_path, out, device="cpu")
    refusal(request, OutputError, before="read")


def test_an_output_folder_that_is_not_utf_8_is_refused_before_reading(bundle, tmp_path):
    out = tmp_path / os.fsdecode(b"M\xfcller")
    request = SegmentRequest(bundle.path, tmp_path / "missing.nii", out, device="cpu")
    with pytest.raises(OutputError, match="not UTF-8"):
        segment(request, NullReporter())
    assert not out.exists()


def test_a_folder_with_the_name_of_a_result_is_refused_before_reading(bundle, image_path, tmp_path):
    (tmp_path / "out" / "uncertainty.nrrd").mkdir(parents=True)
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    message = refusal(request, OutputError, before="read")
    assert message.startswith("out has a folder uncertainty.nrrd")


def test_an_input_that_the_results_would_replace_is_refused(run, bundle, image_path, tmp_path):
    run(image_path)
    request = SegmentRequest(
        bundle.path, tmp_path / "out" / "uncertainty.nrrd", tmp_path / "out", device="cpu"
    )
    assert "would replace the input uncertainty.nrrd" in refusal(
        request, OutputError, before="read"
    )
    assert (tmp_path / "out" / "uncertainty.nrrd").exists()


def test_a_changed_member_is_refused_and_leaves_nothing(make_bundle, image_path, tmp_path):
    bundle = make_bundle()
    weights = bundle.path / "models" / "member_1.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(bytes(changed))
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    refusal(request, BundleError, before="combine")
    assert not (tmp_path / "out").exists()


def test_a_bad_volume_leaves_no_output_folder(bundle, tmp_path):
    (tmp_path / "empty.nrrd").touch()
    request = SegmentRequest(bundle.path, tmp_path / "empty.nrrd", tmp_path / "out", device="cpu")
    refusal(request, DataError, before="preprocess")
    assert not (tmp_path / "out").exists()
