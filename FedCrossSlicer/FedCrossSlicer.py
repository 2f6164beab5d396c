"""FedCrossSlicer: segment with a federated ensemble and see where not to trust it."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import qt
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
from FedCrossSlicerLib.panel.drop import FileDrop
from FedCrossSlicerLib.panel.panel import Panel
from FedCrossSlicerLib.panel.parameters import Parameters
from FedCrossSlicerLib.scene.export import exportVolume
from FedCrossSlicerLib.scene.nodes import removeUnreachable
from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic


class FedCrossSlicer(ScriptedLoadableModule):
    """The module as Slicer lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("FedCross Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = []
        parent.contributors = ["The FedCrossSlicer developers"]
        parent.helpText = _(
            "Segments a volume with every member of a FedCross bundle, an ensemble that hospitals "
            "trained together without moving a scan, and overlays where the members disagree. Choose "
            "a volume and a bundle, then Apply. Research use only: not a medical device."
        )
        parent.acknowledgementText = _(
            "The method: X. Xu, H. H. Deng, T. Chen, T. Kuang, J. C. Barber, D. Kim, J. Gateno, "
            "J. J. Xia, P. Yan. Federated Cross Learning for Medical Image Segmentation. Medical "
            "Imaging with Deep Learning (MIDL) 2023, arXiv:2204.02450."
        )
        slicer.app.connect("startupCompleted()", registerSamples)


class FedCrossSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel's life: opened, left, scene closed."""

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
        self.drop = FileDrop(root, self.panel.input.drop)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._onSceneChanged)
        self.addObserver(scene, scene.EndImportEvent, self._onSceneChanged)
        self.addObserver(scene, scene.NodeRemovedEvent, self._onNodeRemoved)
        self.tidying = qt.QTimer()  # once the node is gone for everybody
        self.tidying.setSingleShot(True)
        self.tidying.setInterval(0)
        self.tidying.connect("timeout()", self._tidy)
        self.panel.open()

    def enter(self):
        self.panel.open()

    def exit(self):
        self.panel.close()

    def cleanup(self):
        self.panel.stop()
        self.tidying.stop()
        self.removeObservers()

    def _onSceneStartClose(self, caller, event):
        self.panel.cancel()
        self.panel.close()
        WORKERS.end()

    def onReload(self):
        """Developers: Slicer itself reads this file anew, and not what it imports."""
        self.panel.stop()
        for name in [name for name in sys.modules if name.split(".")[0] == "FedCrossSlicerLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def _onNodeRemoved(self, caller, event):
        self.tidying.start()

    def _tidy(self):
        scene = slicer.mrmlScene
        if not (scene.IsClosing() or scene.IsImporting() or scene.IsBatchProcessing()):
            removeUnreachable(scene)

    def _onSceneChanged(self, caller, event):
        if self.parent.isEntered:
            self.panel.open()


class FedCrossSlicerLogic(ScriptedLoadableModuleLogic, SegmentationLogic):
    """Segments from Python too: ``FedCrossSlicerLogic().segment(volumeNode, "bundle")``."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        SegmentationLogic.__init__(self)

    def getParameterNode(self):
        return Parameters(ScriptedLoadableModuleLogic.getParameterNode(self))


class FedCrossSlicerTest(ScriptedLoadableModuleTest):
    """A short check inside Slicer; the full tests are under Testing/."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_a_volume_is_exported_where_it_is_seen()

    def test_a_volume_is_exported_where_it_is_seen(self):
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
