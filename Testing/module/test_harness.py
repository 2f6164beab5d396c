"""The small Slicer itself: what it promises to a module's code and to the tests."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from harness import module_loader, preflight


@pytest.fixture
def qt(qapp):
    import qt

    return qt


def test_a_property_is_an_attribute(qt):
    button = qt.QPushButton()
    button.text = "Apply"
    button.enabled = False
    assert (button.text, button.enabled, button.className()) == ("Apply", False, "QPushButton")


def test_a_read_only_property_cannot_be_set(qt):
    with pytest.raises(AttributeError, match="read-only"):
        qt.QWidget().width = 3


def test_a_property_refuses_a_value_of_the_wrong_type(qt):
    with pytest.raises(TypeError, match="cannot take"):
        qt.QPushButton().checkable = object()


def test_a_signal_is_connected_by_its_signature_until_it_is_disconnected(qt):
    button, heard = qt.QPushButton(), []

    def hear(*_):
        heard.append(1)

    button.connect("clicked(bool)", hear)
    button.click()
    button.disconnect("clicked(bool)", hear)
    button.click()
    assert heard == [1]


def test_a_signal_that_qt_does_not_have_is_refused(qt):
    with pytest.raises(ValueError, match="no signal"):
        qt.QPushButton().connect("clicked(QString)", print)


def test_members_of_qt_classes_stay_what_they_are(qt):
    assert callable(qt.QTimer.singleShot)
    assert callable(qt.QWidget.setVisible)


def test_long_qt_sessions_do_not_use_none_up(qt):
    button = qt.QPushButton()
    for _ in range(50_000):
        button.setEnabled(True)
    assert button.enabled


def test_a_ui_file_with_an_unknown_slicer_widget_is_refused(scene, tmp_path):
    import slicer

    path = tmp_path / "unknown.ui"
    path.write_text(
        '<ui version="4.0"><widget class="QWidget" name="top">'
        '<widget class="qMRMLSegmentsTableView" name="table"/></widget></ui>'
    )
    with pytest.raises(ValueError, match="no stand-in for qMRMLSegmentsTableView"):
        slicer.util.loadUI(str(path))


def test_a_node_selector_follows_the_scene(scene):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    assert selector.currentNode() is None
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    selector.setCurrentNode(node)
    assert selector.currentNode() is node
    scene.RemoveNode(node)
    assert selector.currentNode() is None


def test_a_deleted_node_selector_no_longer_listens(scene):
    import shiboken6
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.setMRMLScene(scene)
    shiboken6.delete(selector)
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert selector._observers == []


def test_a_parameter_is_kept_in_the_node_as_slicer_keeps_it(loaded, scene, volume):
    from FedCrossSlicerLib.panel.parameters import Measure, Parameters, Region

    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    parameters.measure = Measure.ENTROPY
    parameters.inputVolume = volume
    assert node.GetParameter("measure") == "ENTROPY"
    assert node.GetParameter("region") == "EVERYWHERE"
    assert node.GetNodeReference("inputVolume") is volume
    assert Parameters(node).region is Region.EVERYWHERE
    with pytest.raises(TypeError, match="must be of type Measure"):
        parameters.measure = "entropy"


def test_widgets_and_parameters_follow_each_other_until_disconnected(loaded, scene, qt):
    from FedCrossSlicerLib.panel.parameters import Measure, Parameters

    class Ui:
        pass

    ui = Ui()
    ui.combo = qt.QComboBox()
    ui.combo.setProperty("SlicerParameterName", "measure")
    parameters = Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    assert parameters.connectGui(ui) is None  # as in Slicer: nobody can disconnect it
    ui = Ui()
    ui.combo = qt.QComboBox()
    parameters = Parameters(scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))
    tag = parameters.connectParametersToGui({"measure": ui.combo})
    ui.combo.currentIndex = 3
    assert parameters.measure is Measure.VARIATION_RATIO
    parameters.measure = Measure.ENTROPY
    assert ui.combo.currentText == Measure.ENTROPY.label()
    parameters.disconnectGui(tag)
    ui.combo.currentIndex = 0
    assert parameters.measure is Measure.ENTROPY


def test_a_widget_that_slicer_cannot_connect_to_a_type_is_refused(qapp):
    import ctk

    from harness import gui_connectors

    with pytest.raises(RuntimeError, match="cannot connect a ctkPathLineEdit to a str"):
        gui_connectors.create(ctk.ctkPathLineEdit(), str, ())
    with pytest.raises(RuntimeError, match="without a range"):
        gui_connectors.create(ctk.ctkSliderWidget(), float, ())


def test_packages_are_noted_down_instead_of_installed(loaded):
    import slicer

    slicer.packaging.installed.clear()
    slicer.util.pip_install(["monai>=1.4"])
    assert slicer.packaging.installed == [["monai>=1.4"]]


def test_the_module_is_loaded_as_slicer_lists_it(loaded):
    import slicer

    assert slicer.modules.fedcrossslicer is loaded
    assert loaded.parent.title == "FedCross Segmentation"
    assert not loaded.parent.icon.isNull()
    assert "MIDL" in loaded.parent.acknowledgementText


def test_a_file_that_is_not_python_is_not_a_module(tmp_path):
    with pytest.raises(ImportError, match="not a Python file"):
        module_loader.load(tmp_path / "notes.txt")


def test_a_machine_without_libraries_is_told_just_their_packages(monkeypatch, capsys):
    def refuse(name):
        if name in ("libEGL.so.1", "libxkbcommon.so.0"):
            raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert preflight.main() == 2
    assert capsys.readouterr().err.endswith("apt-get install libegl1 libxkbcommon0\n")


def test_a_machine_without_a_driver_is_told_to_install_mesa(monkeypatch, capsys):
    monkeypatch.setattr(preflight, "_TRIAL", "raise SystemExit(1)")
    assert preflight.main() == 2
    assert capsys.readouterr().err.endswith("apt-get install libgl1-mesa-dri\n")


def test_a_renderer_that_crashes_is_reported_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(preflight, "_TRIAL", "import os, signal; os.kill(os.getpid(), 11)")
    assert preflight.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_slice_view_shows_the_patients_right_and_front_at_the_upper_left(
    loaded, scene, can_draw, tmp_path
):
    import slicer

    voxels = np.zeros((8, 64, 64), np.int16)
    voxels[:, 4:20, 4:20] = 1000  # low i and j: right and anterior in LPS
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    volume = slicer.util.addVolumeFromArray(voxels, to_ras, "Block")
    slicer.util.setSliceViewerLayers(background=volume)
    view = slicer.app.views["Red"]
    view.fit()
    picture = pixels(view, tmp_path / "red.png")
    height, width, _ = picture.shape
    assert picture[: height // 2, : width // 2].mean() > 50
    assert picture[height // 2 :].mean() < 1
    assert picture[:, width // 2 :].mean() < 1


def pixels(view, path: Path) -> np.ndarray:
    import SimpleITK as sitk

    view.save(path)
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[..., :3]
