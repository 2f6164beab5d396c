"""The panel with a real child process and small bundles: Apply, Cancel, review with keys."""

import numpy as np
import psutil
import pytest
import slicer
from panel_tools import click, foreground, texts, until
from PySide6 import QtCore, QtTest


@pytest.fixture
def ready(widget, bundle_folder):
    """The panel with all packages installed; the CPU and PyTorch are chosen as a user chooses them."""
    panel = widget.self().panel
    panel.install.isInstalled = True
    ui = panel.ui
    ui.deviceCombo.currentText = "CPU"
    ui.backendCombo.currentText = "PyTorch, the reference"
    ui.bundleEdit.currentPath = str(bundle_folder)
    yield panel
    panel.cancel()
    panel.install.isInstalled = False
    ui.deviceCombo.currentIndex = ui.backendCombo.currentIndex = 0


def test_cancel_during_a_segmentation_leaves_no_process_and_no_node(
    ready, scene, temporary, node_ids
):
    voxels = np.random.default_rng(0).normal(size=(90, 160, 160)).astype(np.float32)
    large = slicer.util.addVolumeFromArray(voxels, np.diag([1.0, 2.0, 3.0, 1.0]), "Large")
    ui = ready.ui
    ui.inputSelector.setCurrentNode(large)
    before = node_ids()
    click(ui.applyButton)
    until(lambda: ": patch " in ui.statusLabel.text)
    assert 0 < ui.progressBar.value < ui.progressBar.maximum
    child = psutil.Process(ready._task._request.pid)
    click(ui.cancelButton)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert ui.applyButton.enabled
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_the_samples_are_segmented_and_the_hot_spots_reviewed_with_keys(ready, widget, scene):
    from FedCrossSlicerLib.bundle.samples import VOLUME

    ui = ready.ui
    slicer.util.setSliceViewerLayers(background=slicer.util.loadVolume(str(VOLUME)))
    assert ui.inputSelector.currentNode().GetName() == "FedCrossPhantom"
    ui.bundleEdit.currentPath = ""
    ui.bundleInfo.linkActivated.emit("sample")
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text == "Done: FedCrossPhantom segmentation."
    assert foreground().GetName() == "FedCrossPhantom uncertainty"
    assert texts(ui.figuresTable)[0][0].startswith("Phantom organ\n")
    assert "Computed with torch, fp32" in ui.detailsLabel.text
    total = ui.spotsTable.rowCount
    assert total > 0
    widget.activateWindow()
    QtTest.QTest.keyClick(widget, QtCore.Qt.Key_Down, QtCore.Qt.AltModifier)
    QtTest.QTest.keyClick(widget, QtCore.Qt.Key_Return, QtCore.Qt.AltModifier)
    assert ui.reviewLabel.text == f"1 of {total} reviewed"
