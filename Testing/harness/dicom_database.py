"""Stands in for Slicer's DICOM database, and loads a series as Slicer's DICOM module does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import slicer


class DicomDatabase:
    """Stands in for ctkDICOMDatabase: the property and the slot that a scripted module may use.

    Attributes
    ----------
    isOpen
        Whether the database is open; a property of Qt in CTK.
    files
        Path of each file by its SOP Instance UID.
    """

    def __init__(self) -> None:
        self.isOpen = True
        self.files: dict[str, str] = {}

    def fileForInstance(self, sopInstanceUID: str) -> str:
        """Return the path of a file; "" if the database does not have it."""
        return self.files.get(sopInstanceUID, "")


def load_series(paths: Sequence[Path], name: str) -> Any:
    """Add the files of a series to the database and load them with the reader of Slicer.

    As in Slicer the slices are sorted by their places along the normal, and the UIDs are stored in an
    attribute of the node.
    """
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in paths}
    ordered = sorted(paths, key=lambda path: _place(headers[path]))
    uids = [str(headers[path].SOPInstanceUID) for path in ordered]
    slicer.dicomDatabase.files |= dict(zip(uids, map(str, ordered), strict=True))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(False)
    storage.SetFileName(str(ordered[0]))
    storage.ResetFileNameList()
    for path in ordered:
        storage.AddFileName(str(path))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    if not storage.ReadData(node):
        raise ValueError(f"{name} cannot be read")
    node.CreateDefaultDisplayNodes()
    node.SetAttribute("DICOM.instanceUIDs", " ".join(uids))
    return node


def _place(header: Any) -> float:
    x, y = header.ImageOrientationPatient[:3], header.ImageOrientationPatient[3:]
    normal = (
        x[1] * y[2] - x[2] * y[1],
        x[2] * y[0] - x[0] * y[2],
        x[0] * y[1] - x[1] * y[0],
    )
    position = header.ImagePositionPatient
    return float(sum(a * b for a, b in zip(normal, position, strict=True)))
