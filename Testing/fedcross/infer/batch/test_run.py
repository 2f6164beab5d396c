"""Many cases: what is computed, what is kept, and what one that fails does to the others."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.events import ErrorEvent
from fedcross.contract.exits import explain
from fedcross.contract.files import SEGMENTATION, SUMMARY
from fedcross.contract.request import RequestOptions, SegmentRequest
from fedcross.errors import CheckpointError, DeviceError, FedCrossError
from fedcross.infer.batch import memory
from fedcross.infer.batch import run as run_module
from fedcross.infer.batch.case import Case
from fedcross.infer.batch.done import case_key, read_done
from fedcross.infer.batch.memory import check_workers
from fedcross.infer.batch.one_case import Batch, Outcome
from fedcross.infer.batch.run import run_batch
from fedcross.infer.batch.worker import Worker, share_processors
from fedcross.infer.cost import compute_cost
from fedcross.infer.models import fresh_models
from fedcross.infer.segment import segment
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.runtime.files.lock import folder_lock
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.prepare import network_grid, prepare

CPU = RequestOptions(device="cpu", backend="torch")


class InThisProcess:
    """Segments where the test runs, and notes what it segmented."""

    asked: list[str] = []  # noqa: RUF012 - emptied before each test

    def __init__(self, processors: object) -> None:
        pass

    def segment(self, request: SegmentRequest) -> ErrorEvent | None:
        self.asked.append(request.out.name)
        try:
            segment(request, NullReporter(), fresh_models)
        except FedCrossError as error:
            return explain(error)[1]
        return None

    def close(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the pool segment in this process; return the names of the cases that it segments."""
    monkeypatch.setattr(run_module, "Worker", InThisProcess)
    monkeypatch.setattr(InThisProcess, "asked", [])
    return InThisProcess.asked


@pytest.fixture
def one_patch(volume: sitk.Image) -> sitk.Image:
    """A volume of one patch of the bundle."""
    return volume[:29, :, :12]


@pytest.fixture
def cases(one_patch: sitk.Image, tmp_path: Path) -> list[Case]:
    """Two volumes, and between them a damaged one."""
    for name in ("one", "two"):
        sitk.WriteImage(one_patch, str(tmp_path / f"{name}.nrrd"))
    (tmp_path / "broken.nrrd").write_bytes((tmp_path / "one.nrrd").read_bytes()[:300])
    return [Case(name, (tmp_path / f"{name}.nrrd",)) for name in ("one", "broken", "two")]


@pytest.fixture
def run(bundle: Bundle, tmp_path: Path, here: list[str]):
    def run(
        cases: list[Case], use: Bundle = bundle, options: RequestOptions = CPU, flat: bool = False
    ) -> list[Outcome]:
        here.clear()
        return run_batch(cases, Batch(use, tmp_path / "out", options, flat), NullReporter())

    return run


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "figures.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_damaged_volume_fails_alone(run, cases: list[Case], tmp_path: Path) -> None:
    one, broken, two = run(cases)
    assert one.summary is not None
    assert two.summary is not None
    assert broken.error is not None
    assert broken.error.message == "The header of broken.nrrd has a line without field."
    rows = table(tmp_path / "out")
    assert [(row["volume"], row["structure"]) for row in rows] == [
        ("one", "Left kidney"),
        ("one", "Tumor, solid"),
        ("broken", ""),
        ("two", "Left kidney"),
        ("two", "Tumor, solid"),
    ]
    assert [bool(row["error"]) for row in rows] == [False, False, True, False, False]
    assert float(rows[0]["volume_ml"]) == one.summary.structures[0].volume_ml
    assert rows[0]["verdict"] == one.summary.structures[0].verdict
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        "one",
        "two",
    ]


def test_what_is_finished_is_kept_until_image_bundle_or_options_change(
    run, cases: list[Case], here: list[str], make_bundle, one_patch: sitk.Image, tmp_path: Path
) -> None:
    run(cases)
    assert here == ["one", "broken", "two"]
    again = run(cases)
    assert here == ["broken"]
    assert [each.is_kept for each in again] == [True, False, True]
    assert len(table(tmp_path / "out")) == 5
    run(cases, options=replace(CPU, device="auto", max_hours=1.0))
    assert here == ["broken"]
    sitk.WriteImage(one_patch * 2, str(tmp_path / "two.nrrd"))
    run(cases)
    assert here == ["broken", "two"]
    run(cases[:1], options=replace(CPU, save_members=True))
    assert here == ["one"]
    run(cases[:1], use=make_bundle(members=2))
    assert here == ["one"]


def test_a_result_that_someone_changed_is_not_kept(
    run, bundle: Bundle, cases: list[Case], here: list[str], tmp_path: Path
) -> None:
    result = tmp_path / "out" / "one"
    run(cases[:1])
    key = case_key(cases[0], bundle.sha256, CPU)
    assert read_done(result, key) is not None
    assert read_done(result, "0" * 64) is None
    record = (result / "case.json").read_text()
    for text in ("", "{", "7", "[" * 100_000):
        (result / "case.json").write_text(text)
        assert read_done(result, key) is None
    (result / "case.json").write_text(record)
    (result / SEGMENTATION).unlink()
    assert read_done(result, key) is None
    run(cases[:1])
    assert here == ["one"]
    summary = json.loads((result / SUMMARY).read_text())
    (result / SUMMARY).write_text(json.dumps(summary))  # as another command may write it
    assert read_done(result, key) is None


def test_a_file_that_does_not_exist_fails_when_its_turn_comes(run, tmp_path: Path) -> None:
    (failed,) = run([Case("x", (tmp_path / "absent.nrrd",))])
    assert str(failed.error) == "There is no file or folder named absent.nrrd."


def test_with_flat_the_label_map_is_also_a_file_beside_the_folders(
    run, cases: list[Case], here: list[str], one_patch: sitk.Image, tmp_path: Path
) -> None:
    run(cases[:1])
    assert not (tmp_path / "out" / "one.nii.gz").exists()
    run(cases[:1], flat=True)
    assert here == []
    flat = sitk.ReadImage(str(tmp_path / "out" / "one.nii.gz"))
    stored = sitk.ReadImage(str(tmp_path / "out" / "one" / SEGMENTATION))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(flat), sitk.GetArrayFromImage(stored))
    assert flat.GetPixelID() == sitk.sitkUInt8
    assert flat.GetSize() == one_patch.GetSize()
    np.testing.assert_allclose(flat.GetOrigin(), one_patch.GetOrigin(), atol=1e-4)
    before = (tmp_path / "out" / "one.nii.gz").read_bytes()
    sitk.WriteImage(one_patch[::-1], str(tmp_path / "one.nrrd"))
    run(cases[:1])
    run(cases[:1], flat=True)
    assert here == []
    assert (tmp_path / "out" / "one.nii.gz").read_bytes() != before


def test_the_warnings_about_a_case_are_reported_with_its_name_also_if_it_is_kept(
    bundle: Bundle, here: list[str], volume: sitk.Image, tmp_path: Path
) -> None:
    class Warnings(NullReporter):
        def __init__(self) -> None:
            self.found: list[str] = []

        def warning(self, message: str) -> None:
            self.found.append(message)

    coarse = volume[:3, :3, :12]
    coarse.SetSpacing((9.0, 9.0, 2.5))
    sitk.WriteImage(coarse, str(tmp_path / "coarse.nrrd"))
    cases = [Case("coarse", (tmp_path / "coarse.nrrd",))]
    for _ in range(2):
        reporter = Warnings()
        run_batch(cases, Batch(bundle, tmp_path / "out", CPU), reporter)
        line = reporter.found[0]
        assert line.startswith("coarse: The voxels measure 9 x 9 x 2.5 mm, but the bundle was ")
    assert here == ["coarse"]
    assert "9 x 9 x 2.5 mm" in table(tmp_path / "out")[0]["warnings"]


def test_two_commands_in_one_folder_are_refused(run, cases: list[Case], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        folder_lock(tmp_path / "out" / "batch.lock"),
        pytest.raises(CheckpointError, match="The folder out is in use by process"),
    ):
        run(cases)


def test_an_error_in_the_code_is_not_a_failed_case(
    run, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(InThisProcess, "segment", broken)
    with pytest.raises(ZeroDivisionError):
        run(cases)


def test_the_table_has_the_cases_in_their_order_whichever_process_ends_first(
    bundle: Bundle, cases: list[Case], here: list[str], tmp_path: Path, monkeypatch
) -> None:
    quick = InThisProcess.segment

    def slow_at_first(self: InThisProcess, request: SegmentRequest) -> ErrorEvent | None:
        while request.out.name == "one" and "two" not in here:
            time.sleep(0.01)
        return quick(self, request)

    monkeypatch.setattr(InThisProcess, "segment", slow_at_first)
    outcomes = run_batch(cases, Batch(bundle, tmp_path / "out", CPU), NullReporter(), workers=2)
    assert [each.case.name for each in outcomes] == ["one", "broken", "two"]
    assert [row["volume"] for row in table(tmp_path / "out")][::2] == ["one", "broken", "two"]


def test_a_process_that_was_killed_fails_one_case_and_the_next_one_has_a_new_process(
    bundle: Bundle, cases: list[Case], tmp_path: Path
) -> None:
    worker = Worker()
    request = SegmentRequest(
        bundle.path, cases[0].images[0], tmp_path / "out", device="cpu", backend="torch"
    )
    try:
        assert worker.segment(request) is None
        worker._process.kill()
        worker._process.wait()
        error = worker.segment(request)
        assert error is not None
        assert error.message.startswith("The process that segments has ended with code -9")
        assert worker.segment(request) is None
    finally:
        worker.close()
    assert str(worker.segment(request)) == "Interrupted."


@pytest.mark.skipif(os.name != "posix", reason="signals of a terminal")
def test_after_ctrl_c_finished_cases_are_kept_and_the_same_command_goes_on(
    bundle: Bundle, image_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(image_path, folder / "a.nrrd")
    large = sitk.GetImageFromArray(np.random.default_rng(0).random((60, 200, 200), np.float32))
    sitk.WriteImage(large, str(folder / "b.nrrd"))
    words = ["segment", "--bundle", bundle.path, "--images", folder, "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "fedcross", *map(str, words), "--backend", "torch"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 120
    while not (tmp_path / "out" / "figures.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Finished cases are kept. The same command goes on." in errors
    assert [row["volume"] for row in table(tmp_path / "out")] == ["a", "a"]
    (folder / "b.nrrd").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 case: 0 segmented, 1 kept from before." in done.stdout


def test_more_workers_than_the_memory_allows_are_refused_with_the_number_that_fits(
    bundle: Bundle, cases: list[Case], one_patch: sitk.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = sum((bundle.path / each.file).stat().st_size for each in bundle.manifest.members)
    grid = prepare(one_patch, bundle.manifest.preprocessing).grid
    cost = compute_cost(bundle.manifest, grid, one_patch.GetSize(), CPU.measures)
    each = memory.PROCESS_BYTES + weights + cost.memory_bytes
    four = [*cases, *cases]  # two of the six are damaged and need nothing
    monkeypatch.setattr(memory, "available_bytes", lambda: 3 * each)
    check_workers(four, bundle, CPU, 3)
    with pytest.raises(DeviceError, match=r"4 cases at the same time .* Use --workers 3"):
        check_workers(four, bundle, CPU, 4)
    monkeypatch.setattr(memory, "available_bytes", lambda: each // 2)
    check_workers(four, bundle, CPU, 1)
    with pytest.raises(DeviceError, match="Use --workers 1"):
        check_workers(four, bundle, CPU, 2)


@pytest.mark.parametrize("stored", ["LPS", "RAI", "PIR", "SAL"])
def test_the_grid_of_the_networks_follows_from_the_header(
    bundle: Bundle, volume: sitk.Image, stored: str
) -> None:
    turned = sitk.DICOMOrient(volume, stored)
    steps = bundle.manifest.preprocessing
    prepared = prepare(turned, steps)
    found = network_grid(prepared.source, steps)
    assert found.size == prepared.grid.size
    for name in ("spacing_mm", "origin_mm", "direction"):
        np.testing.assert_allclose(getattr(found, name), getattr(prepared.grid, name), atol=1e-9)


def test_processors_are_shared_and_none_is_bound_if_there_are_too_few(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 2, 4, 5, 6}, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert share_processors(1) == [None]
    assert share_processors(2) == [[0, 4, 6], [2, 5]]
    assert share_processors(6) == [None] * 6


def test_the_bundle_of_a_zip_is_the_same_bundle(
    bundle: Bundle, run, cases: list[Case], here: list[str], tmp_path: Path
) -> None:
    from fedcross.model.bundle_zip import pack_bundle

    run(cases[:1])
    pack_bundle(bundle.path, tmp_path / "b.zip")
    with open_bundle(tmp_path / "b.zip") as unpacked:
        run(cases[:1], use=unpacked)
    assert here == []
