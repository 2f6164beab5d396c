"""Mistakes in data and configuration, on the command line.

Each ends with exit code 2 and a message of one line that names the mistake, without a traceback and
without the path of a folder. Existing files are not changed.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import dataset_trees
from fedcross.cli import main
from fedcross.training.run.folder import RunFolder
from tiny_federation import write_array, write_federation

CASE = "case-1.nii.gz"


@dataclass(frozen=True)
class Answer:
    """Exit code, stderr and stdout of a command."""

    code: int
    error: str
    shown: str = ""


Command = Callable[..., Answer]


@pytest.fixture
def fedcross(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str | Path) -> Answer:
        monkeypatch.setattr("sys.argv", ["fedcross", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
            shown = capsys.readouterr()
            return Answer(code, shown.err, shown.out)
        raise AssertionError("the command did not end by sys.exit")

    return run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration of a valid federation; each test makes a mistake in it."""
    return write_federation(tmp_path / "federation")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def error_message(answer: Answer, folder: Path) -> str:
    """The message of a failed command, after a check of its form; `folder` must not be in it."""
    assert answer.code == 2, answer
    assert len(answer.error.strip().splitlines()) == 1, answer.error
    assert "Traceback" not in answer.error
    assert str(folder) not in answer.error.replace(str(folder / "federation" / "config.toml"), "")
    return answer.error


def edit(old: str, new: str) -> Callable[[Path], None]:
    def apply(config: Path) -> None:
        text = config.read_text(encoding="utf-8")
        assert old in text
        config.write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


def image(config: Path) -> Path:
    return config.parent / "s0" / "images" / CASE


def label(config: Path) -> Path:
    return config.parent / "s0" / "labels" / CASE


def remove_images_folder(config: Path) -> None:
    shutil.rmtree(config.parent / "s1" / "images")


def empty_images_folder(config: Path) -> None:
    remove_images_folder(config)
    (config.parent / "s1" / "images").mkdir()


def remove_label(config: Path) -> None:
    label(config).unlink()


def remove_image(config: Path) -> None:
    image(config).unlink()


def change_shape_of_label(config: Path) -> None:
    write_array(label(config), np.zeros((18, 20, 35), np.uint8))


def add_unknown_label(config: Path) -> None:
    array = np.zeros((18, 20, 36), np.uint8)
    array[9, 9, 9] = 3
    write_array(label(config), array)


def add_nan_to_image(config: Path) -> None:
    array = np.full((18, 20, 36), 7, np.float32)
    array[0, 0, :2] = np.nan
    write_array(image(config), array)


def truncate_image(config: Path) -> None:
    image(config).write_bytes(image(config).read_bytes()[:3000])


def replace_image_by_text(config: Path) -> None:
    label(config).write_bytes(b"<html>404</html>")


def turn_into_dicom(config: Path) -> Path:
    """Replace the image by a DICOM series of 18 slices; return its folder."""
    volume = sitk.ReadImage(str(image(config)))
    image(config).unlink()
    folder = image(config).with_name("case-1")
    dataset_trees.write_dicom(sitk.Cast(volume, sitk.sitkInt16), folder, 1, "t2", "1")
    return folder


def damage_dicom_slice(config: Path) -> None:
    (turn_into_dicom(config) / "1-09.dcm").write_bytes(b"\0" * 300)


def use_images_at_two_sites(config: Path) -> None:
    edit('images = "s1/images"', 'images = "s0/images"')(config)
    edit('labels = "s1/labels"', 'labels = "s0/labels"')(config)


def remove_all_sites(config: Path) -> None:
    text = config.read_text(encoding="utf-8")
    sites = text[text.index("[[sites]]") : text.index("[training]")]
    config.write_text("sites = []\n" + text.replace(sites, ""), encoding="utf-8")


def write_invalid_toml(config: Path) -> None:
    config.write_text("name = Prostate\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("make_mistake", "message"),
    [
        (remove_images_folder, "Site s1: The folder images for the images does not exist."),
        (empty_images_folder, "Site s1: There are no images in images."),
        (remove_label, "Case case-1 of site s0 has an image but no label. Add the missing"),
        (remove_image, "Case case-1 of site s0 has a label but no image. Add the missing"),
        (change_shape_of_label, "Case case-1 of site s0: the image has (36, 20, 18) voxels, the"),
        (add_unknown_label, "Case case-1 of site s0: the label has the unknown values 3; "),
        (add_nan_to_image, "case-1.nii.gz has 2 voxels that are not finite numbers"),
        (truncate_image, "Case case-1 of site s0: case-1.nii.gz is damaged or cut short."),
        (replace_image_by_text, "Case case-1 of site s0: case-1.nii.gz is not an image"),
        (
            damage_dicom_slice,
            "The series case-1 has unreadable files (1); the first is 1-09.dcm.",
        ),
        (use_images_at_two_sites, "belongs to two sites, s0 and s1"),
        (edit("[1, 1, 1]", "[4, 1, 1]"), "Site s0 has 3 cases, but its split [4, 1, 1] needs"),
        (edit("[1, 1, 1]", '{train = ["anna"]}'), "split of site s0 names anna, which does not"),
        (edit('"s0/images"', '"s0/images"\nexclude = ["b*"]'), "Site s0: There is no case b*."),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_message_names_the_data_that_cannot_be_used(
    config: Path,
    tmp_path: Path,
    fedcross: Command,
    make_mistake: Callable[[Path], None],
    message: str,
) -> None:
    make_mistake(config)
    text = config.read_text(encoding="utf-8")  # no test cases, so that training reads every case
    config.write_text(text.replace("[1, 1, 1]", "[2, 1, 0]"), encoding="utf-8")
    answer = fedcross("train", config, "--out", tmp_path / "run", "--device", "cpu")
    assert message in error_message(answer, tmp_path)


def test_after_the_data_are_corrected_the_same_command_trains(
    config: Path, tmp_path: Path, fedcross: Command
) -> None:
    remove_images_folder(config)
    command = ("train", config, "--out", tmp_path / "run", "--device", "cpu")
    error_message(fedcross(*command), tmp_path)
    write_federation(config.parent, local_epochs=0, rounds=1)
    assert fedcross(*command).code == 0


@pytest.mark.parametrize(
    ("make_mistake", "message"),
    [
        (edit("momentum", "momentun"), "training.momentun is not a known key; did you mean mom"),
        (edit("[method]", "[methods]"), "methods is not a known key; did you mean method?"),
        (edit("rounds = 2", 'rounds = "two"'), "method.rounds must be a valid integer, got 'two'."),
        (edit("rounds = 2", "rounds = 0"), "method.rounds must be greater than or equal to 1"),
        (edit("[1, 1, 1]", '"1, 1, 1"'), "split = '1, 1, 1' is not known without a dataset"),
        (
            edit("label = 1", "label = [1]"),
            "structures.Blob.label must be a valid integer, got [1]",
        ),
        (edit('name = "s1"', 'name = "s0"'), "two sites have the same name, got s0, s0."),
        (edit('name = "s1"\n', ""), "sites.1.name is missing."),
        (remove_all_sites, "sites must have at least 1 entry, got 0."),
        (write_invalid_toml, "config.toml is not valid TOML: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_message_names_the_wrong_key_and_value_and_no_files_are_made(
    config: Path,
    tmp_path: Path,
    fedcross: Command,
    make_mistake: Callable[[Path], None],
    message: str,
) -> None:
    make_mistake(config)
    for command in (("train", config, "--out", tmp_path / "run"), ("data", "check", config)):
        assert message in error_message(fedcross(*command), tmp_path)
    assert os.listdir(tmp_path) == ["federation"]


def test_a_missing_gpu_is_reported_before_data_are_read(
    config: Path, tmp_path: Path, fedcross: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    answer = fedcross("train", config, "--out", tmp_path / "run", "--device", "cuda:0")
    assert "cuda:0" in error_message(answer, tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of a federation and its finished run."""
    folder = tmp_path_factory.mktemp("finished")
    config = write_federation(folder / "federation", rounds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["fedcross", "train", str(config), "--out", str(folder / "run")])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 0
    return folder


@pytest.fixture
def trained(finished: Path, tmp_path: Path) -> Path:
    """A copy of `finished` that the test may change."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_resuming_with_a_changed_configuration_names_the_keys(
    trained: Path, fedcross: Command
) -> None:
    config, run = trained / "federation" / "config.toml", trained / "run"
    before = contents(run)
    edit("momentum = 0.9", "momentum = 0.8")(config)
    edit("seed = 7", "seed = 8")(config)
    message = error_message(fedcross("train", config, "--out", run, "--resume"), trained)
    assert "seed (was 7, is 8); training.momentum (was 0.9, is 0.8)" in message
    assert contents(run) == before


def test_a_second_run_in_the_same_folder_is_refused(trained: Path, fedcross: Command) -> None:
    config, run = trained / "federation" / "config.toml", trained / "run"
    before = contents(run)
    message = error_message(fedcross("train", config, "--out", run), trained)
    assert "run already holds a run. Add --resume, or choose another folder." in message
    assert contents(run) == before


def test_a_run_in_a_folder_that_another_process_uses_is_refused(
    trained: Path, fedcross: Command
) -> None:
    from fedcross.runtime.files.lock import folder_lock

    config, run = trained / "federation" / "config.toml", trained / "run"
    with folder_lock(run / "run.lock"):
        for resume in ((), ("--resume",)):
            message = error_message(fedcross("train", config, "--out", run, *resume), trained)
            assert f"run is in use by process {os.getpid()}." in message


def test_on_a_full_disk_finished_rounds_stay_and_the_run_can_be_resumed(
    trained: Path, fedcross: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedcross.training.run import checkpoint

    config, run = trained / "federation" / "config.toml", trained / "second"
    write = checkpoint._write

    def fill(folder: Path, content: checkpoint.Checkpoint) -> None:
        write(folder, content)
        if content.rounds_done == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_write", fill)
        message = error_message(fedcross("train", config, "--out", run), trained)
    assert "No space left on device" in message
    assert "--resume" in message
    assert RunFolder(run).checkpoints.rounds() == [1]
    assert fedcross("train", config, "--out", run, "--resume").code == 0
    assert weights(run) == weights(trained / "run")


@pytest.mark.parametrize("deleted", [[2], [9, 10], [17]])
def test_a_series_without_an_inner_slice_is_refused_by_every_command(
    trained: Path, fedcross: Command, deleted: list[int]
) -> None:
    config, bundle = trained / "federation" / "config.toml", trained / "bundle"
    assert fedcross("export", trained / "run", bundle).code == 0
    folder = turn_into_dicom(config)
    for number in deleted:
        (folder / f"1-{number:02d}.dcm").unlink()
    edit("[1, 1, 1]", "[2, 1, 0]")(config)
    cases = trained / "cases.csv"
    cases.write_text(f"image,label\n{folder},{label(config)}\n", encoding="utf-8")
    out = ("--out", trained / "out")
    for command in (
        ("train", config, *out),
        ("data", "check", config),
        ("compare", config, "--methods", "local", *out),
        ("segment", "--bundle", bundle, "--image", folder, *out),
        ("segment", "--bundle", bundle, "--images", cases, *out),
        ("segment", "--bundle", bundle, "--series-root", folder.parent, *out),
        ("evaluate", bundle, "--list", cases, *out),
        ("calibrate", bundle, "--data", config, "--part", "train", *out),
    ):
        shutil.rmtree(trained / "out", ignore_errors=True)
        answer = fedcross(*command)
        assert answer.code == 2, command
        assert "some are missing" in answer.error + answer.shown, command


def weights(run: Path) -> dict[str, bytes]:
    return {k: v for k, v in contents(run / "checkpoints").items() if k.endswith(".safetensors")}


def test_a_cache_that_cannot_be_written_does_not_stop_a_training(
    config: Path, tmp_path: Path, fedcross: Command
) -> None:
    (tmp_path / "cache").touch()
    done = fedcross("train", config, "--out", tmp_path / "run", "--cache", tmp_path / "cache")
    assert (done.code, done.error) == (0, "")
