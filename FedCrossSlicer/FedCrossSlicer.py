"""The scripted module: segment a volume with a FedCross bundle and see where its members disagree."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from FedCrossSlicerLib.bundle.samples import registerSamples
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.panel.panel import Panel
from FedCrossSlicerLib.panel.parameters import Parameters
from FedCrossSlicerLib.panel.widgets.drop import BundleDrop
from FedCrossSlicerLib.panel.widgets.timer import PollTimer
from FedCrossSlicerLib.scene.nodes import removeOrphans
from FedCrossSlicerLib.scene.volumes import isSceneBusy
from FedCrossSlicerLib.tasks.export import exportVolume
from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic


class FedCrossSlicer(ScriptedLoadableModule):
    """The module's entry in Slicer: title, category, help."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FedCross Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The FedCrossSlicer developers"]
        parent.helpText = _(
            "Segments a volume with every member of a FedCross bundle and shows where the members "
            "disagree. A bundle is an ensemble that hospitals trained together without moving a scan. "
            "Choose a volume and a bundle, then press Apply. For research only: not a medical device."
        )
        parent.acknowledgementText = _(
            "The method: X. Xu, H. H. Deng, T. Chen, T. Kuang, J. C. Barber, D. Kim, J. Gateno, "
            "J. J. Xia, P. Yan. Federated Cross Learning for Medical Image Segmentation. Medical "
            "Imaging with Deep Learning (MIDL) 2023, arXiv:2204.02450."
        )
        slicer.app.connect("startupCompleted()", registerSamples)


class FedCrossSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Opens and closes the panel as the user enters and leaves the module, and as scenes change."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/FedCrossSlicer.ui"))
        self.layout.addWidget(root)
        self.ui = slicer.util.childWidgetVariables(root)
        root.setMRMLScene(slicer.mrmlScene)
        self.logic = FedCrossSlicerLogic()
        self.panel = Panel(self.ui, self.logic, root)
        self.drop = BundleDrop(root, self.panel.input.openBundle)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneChanged)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeRemoved)
        # Removed nodes are handled after all observers have seen their removal.
        self.cleanupTimer = PollTimer(self._removeOrphans, milliseconds=0, singleShot=True)
        self.panel.open()

    def enter(self):
        self.panel.open()

    def exit(self):
        self.panel.close()

    def cleanup(self):
        self.panel.stop()
        self.cleanupTimer.release()
        self.removeObservers()

    def _onSceneStartClose(self, caller, event):
        self.panel.cancel()
        self.panel.close()
        WORKERS.end()

    def onReload(self):
        """Remove library and package from memory: Slicer reloads only this file. For developers."""
        self.panel.stop()
        for name in list(sys.modules):
            if name.split(".")[0] in ("FedCrossSlicerLib", "fedcross"):
                del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _onNodeRemoved(self, caller, event):
        self.cleanupTimer.start()

    def _removeOrphans(self):
        if not isSceneBusy():
            removeOrphans(slicer.mrmlScene)

    def _onSceneChanged(self, caller, event):
        if self.parent.isEntered:
            self.panel.open()


class FedCrossSlicerLogic(ScriptedLoadableModuleLogic, SegmentationLogic):
    """Segments volumes, for the panel and for Python scripts.

    ::

        result = FedCrossSlicerLogic().segment(volume, "/data/bundle.zip")
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        SegmentationLogic.__init__(self)

    def getParameterNode(self):
        return Parameters(ScriptedLoadableModuleLogic.getParameterNode(self))


class FedCrossSlicerTest(ScriptedLoadableModuleTest):
    """A short test inside Slicer; the complete tests are in Testing/."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_a_volume_is_exported_in_world_space()

    def test_a_volume_is_exported_in_world_space(self):
        """A translated volume is exported with its translation."""
        volume = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16))
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, 10.0)
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "volume.nrrd"
            exportVolume(volume, path)
            exported = slicer.util.loadVolume(str(path), {"show": False})
        self.assertEqual(exported.GetOrigin()[0], 10.0)
