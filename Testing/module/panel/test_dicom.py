"""The button "Save as DICOM...", used with the mouse; the files are made by a real child process."""

import sys
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicer
from panel_tools import click, finished, segment, until

from dicom_files import write_series
from dicom_sources import ACROSS, OBLIQUE, person
from fedcross.contract.files import DICOM_FILES
from fedcross.contract.request import SegmentRequest
from fedcross.infer import __main__
from harness.dicom_database import load_series

DONE = "Saved in made: segmentation.dcm, probability.dcm, uncertainty.dcm."


@pytest.fixture
def folder(tmp_path):
    """A DICOM series of 8 slices with a bright block."""
    values = np.random.default_rng(3).integers(0, 100, (8, 20, 24)).astype(np.int16)
    values[2:6, 5:14, 6:18] = 300
    return write_series(tmp_path / "series", values, lambda dataset, k: person(dataset))


@pytest.fixture
def series(loaded, scene, folder):
    yield load_series(sorted(folder.iterdir()), "T2 axial")
    slicer.dicomDatabase.files.clear()
    slicer.dicomDatabase.isOpen = True


@pytest.fixture
def out(tmp_path, monkeypatch):
    """The folder that the user chooses."""
    import qt

    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(made))
    return made


@pytest.fixture
def saved(panel, series):
    """The panel after a segmentation of the series; highdicom counts as installed."""
    ready = segment(panel(), series)
    ready.install.installer = SimpleNamespace(ensure=lambda confirm, also: finished(True))
    ready.install._isDicomInstalled = False
    return ready


def save(ready):
    """Click the button and wait until the panel is idle."""
    click(ready.ui.dicomButton)
    until(lambda: not ready.dicom.running and not ready.install.jobs.running)


def write_phantom(folder):
    """The sample volume of the module as a DICOM series of oblique slices."""
    from FedCrossSlicerLib.bundle.samples import VOLUME

    image = sitk.ReadImage(str(VOLUME))
    x_mm, y_mm, z_mm = image.GetSpacing()

    def change(dataset, k):
        person(dataset)
        dataset.ImageOrientationPatient = list(OBLIQUE)
        dataset.PixelSpacing = [y_mm, x_mm]
        dataset.SliceThickness = z_mm

    step = tuple(-z_mm * each for each in ACROSS)
    values = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    return write_series(folder, values, change, step_mm=step)


def test_the_files_are_those_of_the_command_line_for_the_same_series(
    widget, scene, out, end_workers, temporary, tmp_path
):
    from FedCrossSlicerLib.bundle.samples import BUNDLE

    folder = write_phantom(tmp_path / "phantom")
    series = load_series(sorted(folder.iterdir()), "T2 axial")
    panel = widget.self().panel
    panel.install.isInstalled = panel.install._isDicomInstalled = True
    ui = panel.ui
    ui.deviceCombo.currentText = "CPU"
    ui.backendCombo.currentText = "PyTorch, the reference"
    ui.bundleEdit.currentPath = str(BUNDLE)
    segment(panel, series)
    assert ui.statusLabel.text == "Done: T2 axial segmentation."
    assert ui.dicomButton.enabled
    save(panel)
    assert ui.statusLabel.text == DONE
    end_workers()
    assert list(temporary.iterdir()) == []
    ui.deviceCombo.currentIndex = ui.backendCombo.currentIndex = 0
    request = SegmentRequest(
        BUNDLE, folder, tmp_path / "wanted", dicom=True, device="cpu", backend="torch"
    )
    assert __main__.main(request.words()) == 0
    uids = {pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir()}
    for name in DICOM_FILES:
        made, wanted = (pydicom.dcmread(each / name) for each in (out, tmp_path / "wanted"))
        assert made.pixel_array.any()
        np.testing.assert_array_equal(made.pixel_array, wanted.pixel_array)
        assert made.PerFrameFunctionalGroupsSequence == wanted.PerFrameFunctionalGroupsSequence
        assert {each.ReferencedSOPInstanceUID for each in made.SourceImageSequence} == uids
        assert str(made.PatientName) == "Müller^Jürgen"
        assert made.DeviceSerialNumber == wanted.DeviceSerialNumber
    slicer.dicomDatabase.files.clear()


def test_the_codes_of_the_structures_and_the_algorithm_are_in_the_file(saved, out):
    save(saved)
    made = pydicom.dcmread(out / "segmentation.dcm")
    (segment_,) = made.SegmentSequence
    (code,) = segment_.SegmentedPropertyTypeCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("41216001", "SCT")
    assert code.CodeMeaning == "Prostate: <gland>; whole"
    assert segment_.SegmentLabel == "Pröstate"
    (algorithm,) = segment_.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("Prostate T2", "ab" * 32)


def test_the_panel_is_busy_while_the_files_are_made_and_cancel_leaves_nothing(
    saved, out, temporary
):
    click(saved.ui.dicomButton)
    until(lambda: saved.dicom.running)
    ui = saved.ui
    assert ui.cancelButton.enabled
    assert ui.progressBar.visible
    assert not ui.applyButton.enabled
    assert not ui.dicomButton.enabled
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert ui.dicomButton.enabled
    assert list(out.iterdir()) == list(temporary.iterdir()) == []


def test_an_edited_segmentation_is_saved_as_it_was_computed_and_the_panel_says_so(saved, out):
    save(saved)
    before = pydicom.dcmread(out / "segmentation.dcm").pixel_array
    node = saved.ui.resultSelector.currentNode()
    identifier = node.GetSegmentation().GetNthSegmentID(0)
    volume = saved.logic.getParameterNode().inputVolume
    empty = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(empty, node, identifier, volume)
    saved.confirm = lambda _question: True
    save(saved)
    assert saved.ui.statusLabel.text == (
        f"{DONE} They hold the result as it was computed, without your edits."
    )
    np.testing.assert_array_equal(pydicom.dcmread(out / "segmentation.dcm").pixel_array, before)


def test_older_dicom_files_are_replaced_only_after_a_question(saved, out):
    (out / "probability.dcm").write_text("old")
    questions = []
    saved.confirm = lambda question: questions.append(question)
    save(saved)
    assert questions == ["The folder made already holds probability.dcm. Replace them?"]
    assert [path.name for path in out.iterdir()] == ["probability.dcm"]
    assert (out / "probability.dcm").read_text() == "old"


def test_nothing_happens_if_no_folder_is_chosen(saved, monkeypatch):
    import qt

    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "")
    save(saved)
    assert saved.ui.statusLabel.text == ""
    assert saved.ui.dicomButton.enabled


def test_without_highdicom_one_sentence_says_so(saved, out):
    asked = []
    saved.install.installer = SimpleNamespace(
        ensure=lambda confirm, also: asked.append(also) or finished(False)
    )
    save(saved)
    assert [[str(each) for each in also] for also in asked] == [["highdicom>=0.28"]]
    assert saved.ui.statusLabel.text == "highdicom is not installed, so no DICOM files can be made."
    assert list(out.iterdir()) == []


def test_a_file_that_is_gone_is_counted_in_one_sentence(saved, folder, out):
    (folder / "IM003.dcm").unlink()
    save(saved)
    assert saved.ui.statusLabel.text == (
        "1 of 8 files of the series are no longer in Slicer's DICOM database. Import the series again."
    )
    assert list(out.iterdir()) == []


def test_an_error_of_the_child_process_is_shown_and_writes_nothing(saved, folder, out):
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PixelSpacing = [2, 2]
        dataset.save_as(path)
    save(saved)
    assert "holds no volume with the voxels of the result" in saved.ui.statusLabel.text
    assert saved.ui.dicomButton.enabled
    assert list(out.iterdir()) == []


def test_a_child_process_that_crashes_is_reported_in_one_sentence_with_its_log(saved, out):
    from FedCrossSlicerLib.child.process import InferenceProcess
    from FedCrossSlicerLib.tasks.dicom import DicomTask

    def crash(folder):
        code = "import sys; sys.exit('No module named highdicom')"
        return InferenceProcess([sys.executable, "-c", code])

    saved.dicom.makeTask = lambda nodes, folder: DicomTask(nodes, folder, crash)
    save(saved)
    saved.dicom.makeTask = DicomTask
    assert saved.ui.statusLabel.text == "The DICOM files could not be made. See the log."
    assert saved.ui.logText.plainText == "No module named highdicom"


def tip(ready):
    assert not ready.ui.dicomButton.enabled
    return ready.ui.dicomButton.toolTip


def test_without_a_result_the_button_is_disabled(widget):
    assert tip(widget.self().panel) == "Segment a volume first."


def test_a_volume_that_is_not_from_dicom_has_no_series_to_refer_to(segmented):
    assert "was not loaded from DICOM" in tip(segmented)


def test_a_series_that_left_the_database_must_be_imported_again(saved):
    slicer.dicomDatabase.files.clear()
    saved.refresh()
    assert "Import it again" in tip(saved)


@pytest.mark.parametrize("database", ["closed", "none", "absent"])
def test_without_an_open_database_the_button_is_disabled(saved, monkeypatch, database):
    if database == "closed":
        slicer.dicomDatabase.isOpen = False
    elif database == "none":
        monkeypatch.setattr(slicer, "dicomDatabase", None)
    else:
        monkeypatch.delattr(slicer, "dicomDatabase")
    saved.refresh()
    assert "not in Slicer's DICOM database" in tip(saved)
    monkeypatch.undo()


def test_a_volume_under_a_transform_is_segmented_but_cannot_be_saved(panel, series, transform):
    series.SetAndObserveTransformNodeID(transform.GetID())
    ready = segment(panel(), series)
    assert ready.ui.statusLabel.text == "Done: T2 axial segmentation."
    assert "under a transform" in tip(ready)


def test_a_result_whose_volume_was_deleted_cannot_be_saved(saved, series, scene):
    scene.RemoveNode(series)
    saved.refresh()
    assert "no longer in the scene" in tip(saved)


def test_a_result_of_a_scene_that_was_opened_again_can_be_saved(
    saved, widget, scene, out, tmp_path
):
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    widget.exit()
    scene.Clear(False)
    slicer.util.loadScene(path)
    widget.enter()
    assert saved.ui.dicomButton.enabled
    save(saved)
    assert saved.ui.statusLabel.text == DONE
    made = pydicom.dcmread(out / "segmentation.dcm")
    assert made.SegmentSequence[0].SegmentLabel == "Pröstate"
    assert made.pixel_array.sum() == 4 * 9 * 12  # the bright block
    assert pydicom.dcmread(out / "probability.dcm").pixel_array.max() == 255


def test_deleting_the_segmentation_deletes_the_kept_probabilities(saved, scene):
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
    assert "T2 axial probabilities" in names
    scene.RemoveNode(saved.ui.resultSelector.currentNode())
    until(lambda: not slicer.util.getNodes("T2 axial probabilities"))


def test_a_script_saves_a_result_too(saved, out):
    from FedCrossSlicerLib.dicom import saveAsDicom
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    nodes = ResultNodes.of(saved.ui.resultSelector.currentNode())
    assert saveAsDicom(nodes, out) == [out / name for name in DICOM_FILES]
    assert all(pydicom.dcmread(out / name).pixel_array.any() for name in DICOM_FILES)
