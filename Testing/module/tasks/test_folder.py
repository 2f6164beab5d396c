"""Segmenting every volume of a folder."""

import csv
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.files import SEGMENTATION
from fedcross.contract.request import parse_request
from fedcross.contract.table import Reliability


@pytest.fixture
def folder(volume, tmp_path):
    """A folder with two volumes, a broken volume and another file."""
    from FedCrossSlicerLib.tasks.export import exportVolume

    created = tmp_path / "Bänder und Köpfe"
    created.mkdir()
    exportVolume(volume, created / "one.nrrd")
    shutil.copy(created / "one.nrrd", created / "two.nrrd")
    (created / "broken.nrrd").write_text("no volume")
    (created / "notes.txt").write_text("no volume either")
    return created


def test_every_volume_is_segmented_and_the_broken_one_has_an_error(
    folder, tmp_path, fake, node_ids
):
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    before, progress_calls = node_ids(), []
    rows = segmentFolder(
        folder,
        "bundle",
        tmp_path / "out",
        progress=lambda *at: progress_calls.append(at),
        starter=fake("good")._starter,
    )
    assert [row.volume for row in rows] == ["broken.nrrd", "one.nrrd", "two.nrrd"]
    assert rows[0].error
    assert (rows[1].structure, rows[1].volume_ml, rows[1].error) == ("Prostate", 31.2, "")
    assert (tmp_path / "out" / "two" / "result" / SEGMENTATION).is_file()
    with (tmp_path / "out" / "figures.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [line["volume_ml"] for line in table] == ["", "31.2", "31.2"]
    assert [line["verdict"] for line in table] == ["", "agree", "agree"]
    assert [line["interval_low_ml"] for line in table] == ["", "", ""]
    assert progress_calls[0] == (0, 3, "broken.nrrd")
    assert progress_calls[-1] == (3, 3, "")
    assert node_ids() == before
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"figures.csv", "one", "two"}


def test_a_calibrated_bundle_adds_its_figures_to_the_rows(folder, tmp_path, fake):
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    (folder / "one.nrrd").rename(folder / "=1+1.nrrd")
    (folder / "two.nrrd").unlink()
    starter = fake("calibrated")._starter
    rows = segmentFolder(folder, "bundle", tmp_path / "out", starter=starter)
    row, failed = sorted(rows, key=lambda each: each.error)
    found = row.reliability
    assert (found.interval_low_ml, found.interval_high_ml) == (27.9, 34.6)
    assert found.interval_coverage == 0.9
    assert (found.predicted_dice, found.predicted_dice_error) == (0.86, 0.05)
    assert (found.verdict, found.verdict_basis, found.unfamiliar) == (
        "agree",
        "predicted_dice",
        "yes",
    )
    assert found.unfamiliar_reasons.endswith("; intensities")
    assert failed.reliability == Reliability()
    with (tmp_path / "out" / "figures.csv").open(encoding="utf-8") as file:
        written = {line["volume"]: line for line in csv.DictReader(file)}
    assert written["'=1+1.nrrd"]["interval_high_ml"] == "34.6"


def test_the_warnings_of_a_volume_are_in_its_row(folder, tmp_path, bundle_folder):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    for path in folder.iterdir():
        path.unlink()
    image = sitk.GetImageFromArray(np.full((1, 20, 20), 7, np.int16))
    sitk.WriteImage(image, str(folder / "flat.nrrd"))
    (row,) = segmentFolder(folder, bundle_folder, tmp_path / "out", Options(backend="torch"))
    assert row.error == ""
    assert "The volume is a single slice" in row.warnings
    assert "All voxels have the same value, 7." in row.warnings


def test_a_real_child_segments_a_folder_with_a_real_bundle(folder, tmp_path, bundle_folder):
    from FedCrossSlicerLib.child.request import Options
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    (folder / "two.nrrd").unlink()
    rows = segmentFolder(folder, bundle_folder, tmp_path / "out", Options(backend="torch"))
    assert "broken.nrrd" in rows[0].error
    assert rows[1].error == ""
    assert rows[1].structure == "Prostate"


def test_a_folder_without_volumes_raises_one_sentence(tmp_path, loaded):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    with pytest.raises(InferenceError, match="no volume in"):
        segmentFolder(tmp_path, "bundle", tmp_path / "out")


def test_files_that_differ_only_in_their_ending_get_their_own_results(folder, tmp_path, fake):
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    sitk.WriteImage(sitk.ReadImage(str(folder / "two.nrrd")), str(folder / "one.mha"))
    (folder / "two.nrrd").unlink()
    segmentFolder(folder, "bundle", tmp_path / "out", starter=fake("good")._starter)
    results = sorted(path.parent.name for path in (tmp_path / "out").glob("*/result"))
    assert results == ["one.mha", "one.nrrd"]


def test_the_files_of_the_channels_of_a_case_are_numbered(
    folder, tmp_path, fake, two_channel_bundle
):
    from FedCrossSlicerLib.tasks.folder import segmentFolder

    for name in ("one", "two"):
        (folder / f"{name}.nrrd").rename(folder / f"case_{name}_0000.nrrd")
        shutil.copy(folder / f"case_{name}_0000.nrrd", folder / f"case_{name}_0001.nrrd")
    requests, start = [], fake("good")._starter
    rows = segmentFolder(
        folder,
        two_channel_bundle,
        tmp_path / "out",
        starter=lambda arguments: requests.append(parse_request(arguments)) or start(arguments),
    )
    assert [row.volume for row in rows] == ["case_one_0000.nrrd", "case_two_0000.nrrd"]
    assert [[image.name for image in request.images] for request in requests] == [
        ["case_one_0000.nrrd", "case_one_0001.nrrd"],
        ["case_two_0000.nrrd", "case_two_0001.nrrd"],
    ]
    assert (tmp_path / "out" / "case_two" / "result" / SEGMENTATION).is_file()
