"""Runs in a real Slicer and, by Testing/module/test_in_slicer.py, on the harness."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
import slicer
import vtk
from FedCrossSlicerLib.logic import exportVolume
from FedCrossSlicerLib.presentation import color_table


class FedCrossSlicerPresentationTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear(0)

    def test_the_heat_maps_colors_are_made_once(self):
        self.assertEqual(color_table().GetID(), color_table().GetID())
        self.assertEqual(color_table().GetNumberOfColors(), 256)

    def test_a_volume_is_exported_where_it_is_seen_and_nothing_is_left_behind(self):
        volume = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16))
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, 10.0)
        transform.SetMatrixTransformToParent(matrix)
        volume.SetAndObserveTransformNodeID(transform.GetID())
        before = slicer.mrmlScene.GetNumberOfNodes()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "volume.nrrd"
            exportVolume(volume, path)
            self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
            exported = slicer.util.loadVolume(str(path), {"show": False})
        self.assertEqual(exported.GetOrigin()[0], 10.0)
        self.assertEqual(volume.GetOrigin()[0], 0.0)
