"""Stands in for qSlicerSubjectHierarchyPluginLogic, which lists data nodes in the subject hierarchy.

New nodes are listed at the top and deleted nodes are removed. After a scene was read, nodes that its
hierarchy does not list are added. Virtual items, such as segments, are not created.
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
    """Observe the scene and list its data nodes."""

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(caller: Any, event: str, node: Any) -> None:
        if not scene.IsImporting():
            _list(scene, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def removed(caller: Any, event: str, node: Any) -> None:
        # Only for listed nodes: getting the hierarchy node while it is removed would create another one.
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
    # Hidden nodes are not listed, for instance the models of slices.
    if _isListed(node) and not node.GetHideFromEditors():
        tree = _tree(scene)
        if tree.GetItemByDataNode(node) == tree.GetInvalidItemID():
            tree.CreateItem(tree.GetSceneItemID(), node)
