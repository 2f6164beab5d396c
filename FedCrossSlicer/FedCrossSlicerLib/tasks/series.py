"""The DICOM series from which Slicer loaded a volume: whether a result can be saved for it, its files.

Slicer's DICOM module stores the SOP Instance UIDs of the files in an attribute of the volume node. The
files are in Slicer's DICOM database.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.sequences import timePoints

if TYPE_CHECKING:
    from slicer import vtkMRMLScalarVolumeNode

INSTANCES = "DICOM.instanceUIDs"
"""Attribute of a volume node: UIDs with spaces between them."""


def isFromDicom(volume: vtkMRMLScalarVolumeNode) -> bool:
    """Return whether a result of this volume can be saved as DICOM.

    The volume must come from DICOM files and have their voxels: under a transform they would be other
    ones. A time point of a sequence is none, because all of them have one node.
    """
    return (
        bool(_instances(volume))
        and volume.GetParentTransformNode() is None
        and timePoints(volume) is None
    )


def obstacle(nodes: ResultNodes | None) -> str:
    """Return why a result cannot be saved as DICOM, one sentence; "" if nothing is known to prevent it.

    Whether every file of the series is there, `sourceFiles` finds out.
    """
    if nodes is None:
        return _("Segment a volume first.")
    volume = nodes.volume
    if volume is None:
        return _("The volume of this result is no longer in the scene.")
    instances = _instances(volume)
    if not instances:
        return _("The volume was not loaded from DICOM, so there is no series to refer to.")
    if nodes.ensemble is None or nodes.requestedMeasure not in nodes.maps:
        return _(
            "This result has no probabilities, because its volume was under a transform, in a sequence "
            "or very large, or because the scene was saved without hidden nodes. Segment the volume "
            "again, without a transform."
        )
    database = _database()
    if database is None or not database.fileForInstance(instances[0]):
        return _("The series is not in Slicer's DICOM database. Import it again.")
    return ""


def sourceFiles(volume: vtkMRMLScalarVolumeNode) -> list[Path]:
    """Return the files of the series from which a volume was loaded.

    Raises
    ------
    InferenceError
        If a file is not in Slicer's DICOM database, or not on the disk any more.
    """
    database, instances = _database(), _instances(volume)
    names = [str(database.fileForInstance(uid)) if database else "" for uid in instances]
    missing = sum(not name or not Path(name).is_file() for name in names)
    if missing or not names:
        raise InferenceError(
            _(
                "{missing} of {count} files of the series are no longer in Slicer's DICOM database. "
                "Import the series again."
            ).format(missing=missing, count=len(names))
        )
    return [Path(name) for name in names]


def _instances(volume: vtkMRMLScalarVolumeNode) -> list[str]:
    return str(volume.GetAttribute(INSTANCES) or "").split()


def _database() -> Any:
    """Slicer's DICOM database (a ctkDICOMDatabase); None if it is not open or there is none."""
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
