"""Stands in for qSlicerSubjectHierarchyPluginLogic: Slicer lists data nodes in the tree by itself.

New nodes come to the top, deleted ones go, and after a scene was read those that its tree did not list
are added. Virtual items, such as a segmentation's segments, are not made.
"""

from typing import Any

import slicer
import vtk

_LISTED = (
    "vtkMRMLScalarVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLTransformNode",
)


def follow(scene: Any) -> None:
    """List the scene's data nodes from now on."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller: Any, event: str, node: Any) -> None:
        if not scene.IsImporting():
            _list(scene, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(caller: Any, event: str, node: Any) -> None:
        # Only for what is listed: asking for the tree while it is itself removed makes another one.
        if not scene.IsClosing() and _isListed(node):
            tree = _tree(scene)
            item = tree.GetItemByDataNode(node)
            if item != tree.GetInvalidItemID():
                tree.RemoveItem(item, False, False)

    def imported(caller: Any, event: str) -> None:
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
        nodes = scene.GetNodes()
        for index in range(nodes.GetNumberOfItems()):
            _list(scene, nodes.GetItemAsObject(index))

    scene.AddObserver(scene.NodeAddedEvent, added)
    scene.AddObserver(scene.NodeAboutToBeRemovedEvent, removed)
    scene.AddObserver(scene.EndImportEvent, imported)


def _tree(scene: Any) -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def _isListed(node: Any) -> bool:
    return any(node.IsA(kind) for kind in _LISTED)


def _list(scene: Any, node: Any) -> None:
    # Models that stand for slices are hidden from editors, as are a module's own helpers.
    if _isListed(node) and not node.GetHideFromEditors():
        tree = _tree(scene)
        if tree.GetItemByDataNode(node) == tree.GetInvalidItemID():
            tree.CreateItem(tree.GetSceneItemID(), node)
