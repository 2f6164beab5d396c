"""The script that draws the demo's pictures, in its own process as `fedcross demo` runs it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.files import SUMMARY

SCRIPT = Path(__file__).resolve().parents[1] / "harness" / "demo_scene.py"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def finished(can_draw, result_folder, tmp_path):
    """Run the script with relative paths."""
    done = run(
        *("--image", "volume.nrrd", "--result", "result", "--bundle", "bundle", "--out", "scene"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    return tmp_path / "scene"


def picture(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3].astype(int)


def test_the_script_writes_the_pictures_and_the_scene(finished, tmp_path):
    for name in ("axial.png", "sagittal.png", "coronal.png"):
        red, green, blue = np.moveaxis(picture(finished / name), -1, 0)
        assert red.shape == (800, 800)
        orange = (red > 120) & (red - blue > 60)
        outline = (green - red > 60) & (green - blue > 40)
        assert orange[:, :640].sum() > 2000
        assert outline[:, :640].sum() > 200
        legend = picture(finished / name)[500:, 640:]
        assert (legend.min(axis=-1) > 200).sum() > 50  # the legend's white letters
    surface = picture(finished / "view3d.png")
    assert ((surface[..., 1] - surface[..., 0] > 40) & (surface[..., 2] < 160)).sum() > 2000
    with zipfile.ZipFile(finished / "scene.mrb") as saved:
        names = [Path(name).name for name in saved.namelist()]
        scene = next(name for name in saved.namelist() if name.endswith(".mrml"))
        text = saved.read(scene).decode()
    assert sum(name.endswith(".seg.nrrd") for name in names) == 2  # the ensemble and its members
    assert str(tmp_path) not in text


def test_a_missing_file_gives_one_sentence_and_exit_code_2(tmp_path):
    done = run("--image", "none.nrrd", "--result", "result", "--out", "scene", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "There is no none.nrrd.\n")


def test_a_damaged_result_gives_one_sentence_and_exit_code_2(can_draw, result_folder, tmp_path):
    (result_folder / SUMMARY).write_text("{}")
    done = run("--image", "volume.nrrd", "--result", "result", "--out", "scene", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "The result's summary is damaged or incomplete.\n"
