"""The command `fedcross segment`: one volume, or many."""

import csv
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from dicom_files import SERIES, make_volume, write_series
from fedcross.cli import main
from fedcross.errors import DataError
from fedcross.infer.batch import run
from fedcross.infer.batch.worker import Worker
from fedcross.model.bundle import Bundle

CPU = ("--device", "cpu", "--backend", "torch")


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line here; return its exit code, its output and its errors."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fedcross", "segment", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run


def test_one_volume_ends_with_the_result_in_words(
    fedcross, bundle: Bundle, image_path: Path, tmp_path: Path
) -> None:
    words = ("--bundle", bundle.path, "--image", image_path, "--out", tmp_path / "out", *CPU)
    code, shown, errors = fedcross(*words)
    assert (code, errors) == (0, "")
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[-1].startswith("Wrote segmentation.seg.nrrd")
    assert any(line.startswith("Left kidney   ") and " mL (members: " in line for line in lines)
    assert "Look here first (LPS, mm):" in lines


def test_every_written_file_is_named(
    fedcross, bundle: Bundle, image_path: Path, tmp_path: Path
) -> None:
    words = ("--bundle", bundle.path, "--image", image_path, "--out", tmp_path / "out", *CPU)
    _, shown, _ = fedcross(*words, "--for-viewer", "--save-members", "--save-probabilities")
    last = shown.splitlines()[-1]
    named = last.removeprefix("Wrote ").removesuffix(".").split(", ")
    assert sorted(named) == sorted(path.name for path in (tmp_path / "out").iterdir())


@pytest.fixture
def folder(image_path: Path, tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    image_path.rename(made / "good.nrrd")
    (made / "bad.nrrd").write_bytes(b"no volume")
    return made


def test_many_volumes_end_with_a_table_the_failures_and_exit_code_2(
    fedcross, bundle: Bundle, folder: Path, tmp_path: Path
) -> None:
    words = ("--bundle", bundle.path, "--images", folder, "--out", tmp_path / "out", *CPU)
    code, shown, errors = fedcross(*words, "--flat")
    assert code == 2
    assert [line.split()[:3] for line in shown.splitlines() if line.startswith("good ")] == [
        ["good", "Left", "kidney"],
        ["good", "Tumor,", "solid"],
    ]
    table = tmp_path / "out" / "figures.csv"
    assert shown.splitlines()[-1] == f"2 cases: 1 segmented, 1 failed. All figures: {table}"
    failed = "bad.nrrd is not an image that can be read."
    assert errors.splitlines()[0] == "1 of 2 cases failed:"
    assert errors.splitlines()[1].startswith(f"  bad: {failed}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "batch.lock",
        "figures.csv",
        "good",
        "good.nii.gz",
    }
    (folder / "bad.nrrd").unlink()
    code, shown, errors = fedcross(*words)
    assert (code, errors) == (0, "")
    assert "1 case: 0 segmented, 1 kept from before." in shown


class Refusing(Worker):
    """Notes the requests, and fails."""

    asked: list[list[str]] = []  # noqa: RUF012

    def segment(self, request):
        self.asked.append(request.words())
        raise DataError("Not today.")


def test_a_tree_of_dicom_folders_becomes_cases_without_the_names_of_the_folders(
    fedcross, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "Worker", Refusing)
    write_series(tmp_path / "tree" / "Doe^Jane" / "t2", make_volume((8, 12, 12)))
    out = tmp_path / "out"
    code, shown, errors = fedcross(
        *("--bundle", bundle.path, "--series-root", tmp_path / "tree", "--out", out)
    )
    assert code == 2
    assert errors.splitlines()[1] == f"  {SERIES}: Not today."
    assert "Doe" not in shown + errors
    (words,) = Refusing.asked
    assert words[words.index("--series") + 1] == "1"
    assert words[words.index("--out") + 1] == str(out / SERIES)
    with (out / "figures.csv").open(encoding="utf-8", newline="") as file:
        assert [row["error"] for row in csv.DictReader(file)] == ["Not today."]


ONE = ("--image", "a.nrrd")
MANY = ("--images", "folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give one of --image, --images and --series-root."),
        ((*ONE, *MANY), "Give one of --image, --images and --series-root."),
        ((*ONE, "--flat"), "--flat has no meaning with --image."),
        ((*ONE, "--workers", "2"), "--workers has no meaning with --image."),
        ((*MANY, "--series", "1"), "--series has no meaning with many volumes."),
        ((*MANY, "--events"), "--events has no meaning with many volumes."),
        ((*MANY, "--backend", "cuda"), "--backend must be one of auto, openvino, tuned, torch"),
        (MANY, "There is no folder and no list named folder."),
        (("--series-root", "folder"), "There is no folder named folder."),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    fedcross,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = fedcross("--bundle", bundle.path, "--out", "out", *words)
    assert code == 2
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_tree_of_dicom_folders_is_refused_for_a_bundle_with_several_channels(
    fedcross, make_bundle, tmp_path: Path
) -> None:
    two = make_bundle(members=1, channels=("T2", "ADC"))
    code, _, errors = fedcross("--bundle", two.path, "--series-root", tmp_path, "--out", tmp_path)
    assert code == 2
    assert errors.startswith("The bundle Tiny takes 2 images a case, but --series-root takes one")


def test_several_channels_are_taken_by_the_names_of_nnunet(
    fedcross, make_bundle, volume: sitk.Image, tmp_path: Path
) -> None:
    two = make_bundle(members=1, structures=1, channels=("T2", "ADC"))
    data = tmp_path / "Dataset001"
    (data / "imagesTs").mkdir(parents=True)
    for number in range(2):
        sitk.WriteImage(
            volume[:29, :, :12] * (number + 1), str(data / "imagesTs" / f"a_000{number}.nii.gz")
        )
    sitk.WriteImage(volume, str(data / "imagesTs" / "b_0001.nii.gz"))
    words = ("--bundle", two.path, "--images", data, "--out", tmp_path / "out", "--flat", *CPU)
    code, shown, errors = fedcross(*words)
    assert code == 2
    assert "2 cases: 1 segmented, 1 failed." in shown
    assert errors.splitlines()[1] == "  b: There is no file or folder named b_0000.nii.gz."
    assert (tmp_path / "out" / "a.nii.gz").is_file()
