"""Segment one case with one bundle: from volume nodes to a result in the scene. MRML, but no Qt.

`SegmentationLogic.start` returns at once and its caller polls the task, as the panel does with a timer.
`SegmentationLogic.segment` waits for the result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.fit import hasVoxels
from FedCrossSlicerLib.child.pool import WORKERS
from FedCrossSlicerLib.child.request import (
    CHANNEL,
    ROI,
    VOLUME,
    Options,
    Starter,
    requestArguments,
)
from FedCrossSlicerLib.child.workspace import temporaryFolder
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.region import readRegion
from FedCrossSlicerLib.scene.sequences import displayedTimePoint
from FedCrossSlicerLib.tasks.export import exportVolume
from FedCrossSlicerLib.tasks.series import isFromDicom
from FedCrossSlicerLib.tasks.task import Progress, SegmentationTask

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode


class SegmentationLogic:
    """Segments volumes.

    Parameters
    ----------
    starter
        Sends a request to the child process; tests replace it.
    """

    def __init__(self, starter: Starter = WORKERS.start) -> None:
        self._starter = starter

    def start(
        self,
        volume: vtkMRMLScalarVolumeNode | None,
        bundle: str | Path,
        options: Options | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
        further: Sequence[vtkMRMLScalarVolumeNode] = (),
    ) -> SegmentationTask:
        """Export the volumes and send a request to the child process.

        Parameters
        ----------
        volume
            Scalar volume node with an image. It is segmented in world space, with its parent transform.
        bundle
            The bundle's folder or ``.zip``.
        options
            How to segment; None for the defaults.
        roi
            Markups ROI node; only its box, in world space, is segmented. None for the whole volume.
        further
            Volume nodes of the further channels, in the order of the bundle's channels. They are
            resampled onto the voxels of `volume`.

        Returns
        -------
        SegmentationTask
            The running segmentation.

        Raises
        ------
        InferenceError
            If a volume has no voxels or cannot be exported, or the child process cannot be started.
        """
        if volume is None or not all(hasVoxels(each) for each in (volume, *further)):
            raise InferenceError(_("Choose a volume that has an image with one value per voxel."))
        folder = temporaryFolder()
        try:
            exportVolume(volume, folder / VOLUME)
            others = [folder / CHANNEL.format(number=2 + index) for index in range(len(further))]
            for each, path in zip(further, others, strict=True):
                exportVolume(each, path)
            if roi is not None:
                (folder / ROI).write_text(json.dumps(readRegion(roi)), encoding="utf-8")
            # An absolute path: a warm worker may have another current folder than this process.
            bundle = Path(bundle).absolute()
            options = replace(options or Options(), for_dicom=isFromDicom(volume))
            request = self._starter(requestArguments(folder, bundle, options, further=others))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        files = [VOLUME, *(path.name for path in others)]
        nodes = [each.GetName() for each in (volume, *further)]
        names = dict(zip(files, nodes, strict=True))
        return SegmentationTask(volume, folder, request, names, displayedTimePoint(volume))

    def segment(
        self,
        volume: vtkMRMLScalarVolumeNode | None,
        bundle: str | Path,
        options: Options | None = None,
        roi: vtkMRMLMarkupsROINode | None = None,
        progress: Progress | None = None,
        further: Sequence[vtkMRMLScalarVolumeNode] = (),
    ) -> ResultNodes:
        """Segment a volume and wait for the result.

        Parameters
        ----------
        volume, bundle, options, roi, further
            As for `start`.
        progress
            Called with the number of finished steps, the number of all steps and the name of the stage.

        Returns
        -------
        ResultNodes
            The result, in the scene and displayed.

        Raises
        ------
        InferenceError
            If the segmentation fails; the scene is then as it was before.
        """
        task = self.start(volume, bundle, options, roi, further)
        try:
            task.wait(progress)
            return task.finish()
        except BaseException:
            task.cancel()
            raise
