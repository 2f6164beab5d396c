"""The folder of a result in the subject hierarchy, beside the volume."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLSubjectHierarchyNode

_FOLDER = "FedCross.Folder"
"""Attribute of a folder that this module created."""


def putInFolder(bundleName: str, volume: vtkMRMLNode, nodes: Iterable[vtkMRMLNode]) -> None:
    """Put nodes into a new folder in the volume's study, or wherever the volume lies."""
    hierarchy = _hierarchy()
    name = hierarchy.GenerateUniqueItemName(_("FedCross: {bundle}").format(bundle=bundleName))
    folder = hierarchy.CreateFolderItem(_parentItem(hierarchy, volume), name)
    hierarchy.SetItemAttribute(folder, _FOLDER, "1")
    for node in nodes:
        # Slicer has already listed most nodes at the top; CreateItem moves those and lists the others.
        hierarchy.CreateItem(folder, node)


def putBeside(node: vtkMRMLNode, sibling: vtkMRMLNode) -> None:
    """Put a node into the folder in which another node lies."""
    hierarchy = _hierarchy()
    hierarchy.CreateItem(_parentItem(hierarchy, sibling), node)


def foldersOf(nodes: Iterable[vtkMRMLNode]) -> set[int]:
    """Return the items of the folders in which nodes lie."""
    hierarchy = _hierarchy()
    return {_parentItem(hierarchy, node) for node in nodes}


def removeEmptyFolders(folders: Iterable[int]) -> None:
    """Remove those of the folders that this module created and that are empty.

    Parameters
    ----------
    folders
        Items, as `foldersOf` returns them.
    """
    hierarchy = _hierarchy()
    for folder in folders:
        empty = hierarchy.GetNumberOfItemChildren(folder) == 0
        if hierarchy.GetItemAttribute(folder, _FOLDER) and empty:
            hierarchy.RemoveItem(folder)


def _hierarchy() -> vtkMRMLSubjectHierarchyNode:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _parentItem(hierarchy: vtkMRMLSubjectHierarchyNode, node: vtkMRMLNode) -> int:
    """The item of the folder in which a node lies; the scene's item if the node is not listed."""
    item = hierarchy.GetItemByDataNode(node)
    listed = item != hierarchy.GetInvalidItemID()
    return int(hierarchy.GetItemParent(item) if listed else hierarchy.GetSceneItemID())
