"""Stands in for qSlicerCoreIOManager, which `slicer.util.loadVolume`, `saveScene` and others call."""

from pathlib import Path
from typing import Any

import slicer

_TYPES = {
    (".seg.nrrd", ".seg.nhdr"): "SegmentationFile",
    (".mrml", ".mrb"): "SceneFile",
    (".csv", ".tsv"): "TableFile",
    (".mrk.json", ".fcsv"): "MarkupsFile",
    (".ctbl",): "ColorTableFile",
}
_NODE_CLASSES = {
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "TableFile": "vtkMRMLTableNode",
    "MarkupsFile": "vtkMRMLMarkupsFiducialNode",
    "ColorTableFile": "vtkMRMLColorTableNode",
}


class FileManager:
    """Loads and saves nodes and scenes by file type."""

    def __init__(self, scene: Any, volumesLogic: Any) -> None:
        self._scene = scene
        self._volumesLogic = volumesLogic

    def fileType(self, path: str) -> str:
        for endings, kind in _TYPES.items():
            if str(path).lower().endswith(endings):
                return kind
        return "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return "any"

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, *_: Any) -> bool:
        path = str(properties["fileName"])
        name = properties.get("name") or Path(path).name.split(".")[0]
        if kind == "SceneFile":
            return self._loadScene(path, bool(properties.get("clear")))
        if kind == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            node = self._volumesLogic.AddArchetypeVolume(path, name, options)
        else:
            node = self._loadByStorageNode(_NODE_CLASSES[kind], name, path)
        if node is None:
            return False
        loaded.AddItem(node)
        return True

    def saveNodes(self, kind: str, properties: dict[str, Any], *_: Any) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            if path.endswith(".mrb"):
                return bool(self._scene.WriteToMRB(path, properties.get("thumbnail")))
            self._scene.SetURL(path)
            return bool(self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if not node.GetStorageNode():
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", 1)))
        return bool(storage.WriteData(node))

    def _loadScene(self, path: str, clear: bool) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, clear))
        self._scene.SetURL(path)
        return bool(self._scene.Connect() if clear else self._scene.Import())

    def _loadByStorageNode(self, className: str, name: str, path: str) -> Any:
        node = self._scene.AddNewNodeByClass(className, name)
        storage = node.CreateDefaultStorageNode()
        self._scene.AddNode(storage)
        storage.SetFileName(path)
        node.SetAndObserveStorageNodeID(storage.GetID())
        if not storage.ReadData(node):
            slicer.mrmlScene.RemoveNode(node)
            return None
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        return node
