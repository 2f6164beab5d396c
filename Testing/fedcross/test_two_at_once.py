"""Two processes write to one place at once: both are sound, or the second one is refused."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import SimpleITK as sitk

import fedcross
from at_once import run_at_once
from fedcross.errors import OutputError
from fedcross.model.bundle import verify_bundle
from fedcross.runtime.files.atomic import atomic_folder
from fedcross.runtime.files.publish import publish_files
from tiny_federation import write_federation

ROUNDS = 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a federation, its run, two bundles of it, and an image."""
    folder = tmp_path_factory.mktemp("two")
    config = write_federation(folder / "data")
    fedcross.train(config, folder / "run", device="cpu")
    fedcross.export(folder / "run", folder / "a")
    fedcross.export(folder / "run", folder / "b", which="last")
    shutil.copy(folder / "data" / "s0" / "images" / "case-0.nii.gz", folder / "image.nii.gz")
    return folder


def check_ends(ends: list[tuple[int, str]]) -> None:
    """At least one run succeeds; one that does not is refused with one sentence."""
    codes = [code for code, _errors in ends]
    assert 0 in codes, ends
    assert set(codes) <= {0, 2}, ends
    assert "Traceback" not in "".join(errors for _code, errors in ends)


def no_hidden_file_is_left(folder: Path) -> bool:
    return not [path for path in folder.rglob(".*") if path.name.startswith((".partial", ".repl"))]


def test_two_trainings_in_one_folder_are_one_run(trained: Path) -> None:
    words = ["train", "data/config.toml", "--out", "new-run", "--device", "cpu"]
    ends = run_at_once(trained, words, words)
    assert sorted(code for code, _errors in ends) == [0, 2]
    (message,) = [errors for code, errors in ends if code == 2]
    assert "in use by process" in message or "already holds a run" in message
    fedcross.export(trained / "new-run", trained / "of-new-run")
    whole, again = (verify_bundle(trained / name) for name in ("a", "of-new-run"))
    assert [m.sha256 for m in whole.members] == [m.sha256 for m in again.members]


def test_two_exports_and_calibrations_to_one_place_leave_a_whole_bundle(trained: Path) -> None:
    calibrate = ["calibrate", "a", "--data", "data/config.toml", "--device", "cpu", "--out", "out"]
    export = ["export", "run", "out"]
    check_ends(run_at_once(trained, calibrate, calibrate, export))
    assert verify_bundle(trained / "out").members == verify_bundle(trained / "a").members
    assert no_hidden_file_is_left(trained)


def test_two_segmentations_in_one_folder_leave_one_whole_result(trained: Path) -> None:
    base = ["segment", "--image", "image.nii.gz", "--out", "result", "--device", "cpu"]
    base += ["--backend", "torch"]
    ends = run_at_once(
        trained,
        [*base, "--bundle", "a", "--for-viewer"],
        [*base, "--bundle", "b", "--save-members"],
    )
    check_ends(ends)
    result = trained / "result"
    summary = json.loads((result / "summary.json").read_text(encoding="utf-8"))
    maps = {each["file"] for each in summary["uncertainty_maps"].values()}
    named = {*summary["files"].values(), *maps, "summary.json"}
    assert {path.name for path in result.iterdir()} == named
    size = tuple(summary["geometry"]["size"])
    for name in named:
        if name.endswith(".nrrd"):
            assert sitk.ReadImage(str(result / name)).GetSize()[:3] == size


def test_two_evaluations_in_one_folder_leave_the_files_of_one(trained: Path) -> None:
    base = ["--data", "data/config.toml", "--out", "evaluation", "--device", "cpu"]
    ends = run_at_once(
        trained,
        ["evaluate", "a", *base, "--measure", "std"],
        ["evaluate", "b", *base, "--measure", "entropy", "--part", "validation"],
    )
    check_ends(ends)
    record = json.loads((trained / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    part = {"std": "test", "entropy": "validation"}[record["measure"]]
    text = (trained / "evaluation" / "structures.csv").read_text(encoding="utf-8")
    assert {line.split(",")[1] for line in text.splitlines()[1:]} == {part}


@pytest.fixture
def alternating(tmp_path: Path) -> Callable[[Callable[[str], None]], Iterator[None]]:
    """Return a function that calls a writer in two threads at the same time, again and again."""

    def repeat(write: Callable[[str], None]) -> Iterator[None]:
        barrier = Barrier(2)

        def each(name: str) -> None:
            barrier.wait()
            write(name)

        with ThreadPoolExecutor(2) as pool:
            for _ in range(ROUNDS):
                list(pool.map(each, "ab"))
                yield

    return repeat


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
def test_results_published_at_once_are_never_mixed(tmp_path: Path, alternating) -> None:
    files = [f"file-{number}" for number in range(20)]

    def write(name: str) -> None:
        own = files if name == "a" else files[5:]
        with publish_files(tmp_path / "out", "file-19", files.__contains__) as staging:
            for each in own:
                (staging / each).write_text(name)

    for _ in alternating(write):
        found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
        assert len(set(found.values())) == 1
        assert sorted(found) == sorted(files if found["file-19"] == "a" else files[5:])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
def test_folders_written_at_once_both_succeed_and_one_is_there(tmp_path: Path, alternating) -> None:
    refused = []

    def write(name: str) -> None:
        try:
            with atomic_folder(tmp_path / "out") as partial:
                (partial / "one").write_text(name)
                (partial / "two").write_text(name)
        except OutputError as error:
            refused.append(str(error))

    for _ in alternating(write):
        assert (tmp_path / "out" / "one").read_text() == (tmp_path / "out" / "two").read_text()
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not refused
