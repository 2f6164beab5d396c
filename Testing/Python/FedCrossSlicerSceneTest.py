"""Runs in a real Slicer and, by Testing/module/test_in_slicer.py, on the harness.

The tests use only what both have: results are created with MRML, child processes are one line of Python.
"""

# ruff: noqa: PT009, PT027 - Slicer runs unittest, and has no pytest

import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import slicer
import vtk

from fedcross.contract import files
from fedcross.contract.events import ResultEvent, event_line
from fedcross.contract.figures import verdict_of
from fedcross.contract.verdict import Verdict
from FedCrossSlicerLib.child.command import childPython
from FedCrossSlicerLib.child.process import InferenceProcess
from FedCrossSlicerLib.display.heatmap import colorTable
from FedCrossSlicerLib.display.view import ViewOptions, show
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.edits import isEdited
from FedCrossSlicerLib.scene.figures import readFigures
from FedCrossSlicerLib.scene.hotspots import State
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.region import readRegion
from FedCrossSlicerLib.scene.review import Review
from FedCrossSlicerLib.tasks.export import exportVolume
from FedCrossSlicerLib.tasks.load import loadResult
from FedCrossSlicerLib.tasks.series import isFromDicom, sourceFiles

SUMMARY = {
    "created": "2026-01-31T12:00:00+00:00",
    "bundle": {"name": "Prostate T2", "sha256": "ab" * 32, "members": 4},
    "measure": "std",
    "uncertainty": {"max": 0.4, "window_max": 0.5},
    "structures": [
        {"name": "Prostate", "volume_ml": 1.0, "mean_ml": 1.0, "min_ml": 0.9, "max_ml": 1.1}
    ],
    "hot_spots": [],
    "packages": {"fedcross": "0.1.0"},
}
SPOT = {
    "centroid_mm": [2.0, 3.0, 4.0],
    "structure": "Prostate",
    "volume_ml": 0.2,
    "peak": 0.4,
    "mean": 0.3,
}


def nodeCount():
    return slicer.mrmlScene.GetNumberOfNodes()


class FedCrossSlicerSceneTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.modules.colors.logic()
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        voxels = np.zeros((8, 9, 10), np.int16)
        voxels[2:6, 3:7, 2:8] = 300
        self.volume = slicer.util.addVolumeFromArray(voxels, name="T2")

    def move(self):
        """Put the volume under a transform that moves it 10 mm to the right."""
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, 10.0)
        transform.SetMatrixTransformToParent(matrix)
        self.volume.SetAndObserveTransformNodeID(transform.GetID())

    def writeResult(self, hotSpots=()):
        """Write a result on the volume's grid; the scene does not change."""
        labels = (slicer.util.arrayFromVolume(self.volume) > 200).astype(np.uint8)
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(self.volume)
        segmentation.GetSegmentation().AddEmptySegment("prostate", "Prostate")
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            labels, segmentation, "prostate", self.volume
        )
        heat = slicer.util.addVolumeFromArray(labels.astype(np.float32) * 0.4)
        for node, name in ((segmentation, files.SEGMENTATION), (heat, files.UNCERTAINTY)):
            self.assertTrue(slicer.util.saveNode(node, str(self.folder / name)))
            for owned in (node.GetDisplayNode(), node.GetStorageNode(), node):
                if owned is not None:
                    slicer.mrmlScene.RemoveNode(owned)
        (self.folder / files.SUMMARY).write_text(
            json.dumps({**SUMMARY, "hot_spots": list(hotSpots)}), encoding="utf-8"
        )

    def test_the_color_table_is_created_once(self):
        self.assertEqual(colorTable().GetID(), colorTable().GetID())
        self.assertEqual(colorTable().GetNumberOfColors(), 256)

    def test_a_volume_is_exported_in_world_space_and_no_node_is_left(self):
        self.move()
        before = nodeCount()
        exportVolume(self.volume, self.folder / "volume.nrrd")
        self.assertEqual(nodeCount(), before)
        path = str(self.folder / "volume.nrrd")
        exported = slicer.util.loadVolume(path, {"show": False})
        self.assertEqual(exported.GetOrigin()[0], 10.0)
        self.assertEqual(self.volume.GetOrigin()[0], 0.0)

    def test_the_dicom_database_is_asked_for_the_files_of_a_series(self):
        self.assertFalse(isFromDicom(self.volume))
        self.volume.SetAttribute("DICOM.instanceUIDs", "1.2.3.4 1.2.3.5")
        self.assertTrue(isFromDicom(self.volume))
        with self.assertRaisesRegex(InferenceError, "2 of 2 files of the series"):
            sourceFiles(self.volume)

    def test_a_result_is_shown_over_the_volume(self):
        self.writeResult()
        presented = loadResult(self.folder, self.volume)
        segmentation = presented.segmentation.GetSegmentation()
        self.assertEqual(segmentation.GetNthSegment(0).GetName(), "Prostate")
        self.assertTrue(segmentation.ContainsRepresentation("Closed surface"))
        display = presented.heat.GetDisplayNode()
        self.assertEqual((display.GetWindowLevelMin(), display.GetWindowLevelMax()), (0.0, 0.5))
        self.assertTrue(
            slicer.modules.colors.logic().GetColorLegendDisplayNode(presented.heat).GetVisibility()
        )
        self.assertEqual(presented.heat.GetAttribute("FedCross.Bundle"), "Prostate T2")

    def test_a_result_without_its_heat_map_leaves_the_scene_as_it_was(self):
        self.writeResult()
        (self.folder / "uncertainty.nrrd").unlink()
        before = nodeCount()
        with self.assertRaises(InferenceError):
            loadResult(self.folder, self.volume)
        self.assertEqual(nodeCount(), before)

    def test_the_figures_have_a_verdict(self):
        self.writeResult()
        (figure,) = readFigures(loadResult(self.folder, self.volume).figures)
        self.assertEqual((figure.name, figure.volume, figure.mean), ("Prostate", 1.0, 1.0))
        self.assertIs(verdict_of(figure), Verdict.LOOK)  # one member has no agreement

    def test_every_slice_view_shows_a_hot_spot_and_its_state_is_stored(self):
        self.writeResult(hotSpots=[SPOT])
        review = Review(loadResult(self.folder, self.volume))
        review.next()
        right, anterior, superior = review.spots[0].position
        self.assertEqual((right, anterior, superior), (-2.0, -3.0, 4.0))
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            toView = np.linalg.inv(slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()))
            self.assertAlmostEqual((toView @ (right, anterior, superior, 1))[2], 0, places=3)
        review.mark(0, State.CORRECTED)
        self.assertEqual(review.progress, (1, 1))

    def test_edit_here_opens_the_segment_editor_on_the_structure(self):
        if slicer.util.mainWindow() is None:
            self.skipTest("modules are switched in the main window")
        self.writeResult(hotSpots=[SPOT])
        nodes = loadResult(self.folder, self.volume)
        Review(nodes).editHere(0)
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        self.assertEqual(editor.segmentationNode().GetID(), nodes.segmentation.GetID())
        self.assertEqual(editor.sourceVolumeNode().GetID(), self.volume.GetID())
        self.assertEqual(editor.currentSegmentID(), "prostate")

    def test_a_saved_scene_has_its_result_and_the_review(self):
        self.writeResult(hotSpots=[SPOT])
        nodes = loadResult(self.folder, self.volume)
        Review(nodes).mark(0, State.REVIEWED)
        heat = slicer.util.arrayFromVolume(nodes.heat).copy()
        self.assertTrue(slicer.util.saveScene(str(self.folder / "scene.mrb")))
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(str(self.folder / "scene.mrb"))
        (opened,) = ResultNodes.all(slicer.mrmlScene)
        self.assertEqual(opened.bundleName, "Prostate T2")
        self.assertEqual(opened.volume.GetName(), "T2")
        self.assertEqual(Review(opened).progress, (1, 1))
        self.assertFalse(isEdited(opened))
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(opened.heat), heat)

    def test_the_result_is_in_a_folder_beside_the_volume(self):
        self.writeResult()
        nodes = loadResult(self.folder, self.volume)
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        folder = tree.GetItemParent(tree.GetItemByDataNode(nodes.segmentation))
        self.assertEqual(tree.GetItemName(folder), "FedCross: Prostate T2")
        beside = tree.GetItemParent(tree.GetItemByDataNode(self.volume))
        self.assertEqual(tree.GetItemParent(folder), beside)
        nodes.remove()
        self.assertEqual(tree.GetItemByName("FedCross: Prostate T2"), tree.GetInvalidItemID())

    def test_the_view_options_change_the_view(self):
        self.writeResult()
        nodes = loadResult(self.folder, self.volume)
        show(nodes, ViewOptions(opacity=0.3, threshold=0.5))
        self.assertAlmostEqual(nodes.heat.GetDisplayNode().GetLowerThreshold(), 0.25, places=5)
        show(nodes, ViewOptions(surface=True))
        self.assertTrue(nodes.surface.GetDisplayNode().GetVisibility())

    def test_a_painted_voxel_counts_as_an_edit(self):
        self.writeResult()
        nodes = loadResult(self.folder, self.volume)
        self.assertFalse(isEdited(nodes))
        labels = slicer.util.arrayFromSegmentBinaryLabelmap(
            nodes.segmentation, "prostate", self.volume
        )
        labels[0, 0, 0] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            labels, nodes.segmentation, "prostate", self.volume
        )
        self.assertTrue(isEdited(nodes))

    def test_the_box_is_converted_to_lps(self):
        roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode")
        roi.SetCenter(1, 2, 3)
        roi.SetSize(4, 5, 6)
        region = readRegion(roi)
        self.assertEqual((region["center_mm"], region["size_mm"]), ([-1, -2, 3], [4, 5, 6]))

    def test_slicers_python_runs_a_child_process_and_its_events_are_read(self):
        result = ResultEvent({}, files.SUMMARY)
        code = f"print({event_line(result)!r})"
        process = InferenceProcess([childPython(), "-c", code])
        while process.running:
            slicer.app.processEvents()
        process.check()
        self.assertEqual(process.events(), [result])
