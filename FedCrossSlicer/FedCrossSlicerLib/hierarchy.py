"""Where a result stands in the subject hierarchy: in a folder of its own beside the volume."""

from collections.abc import Iterable
from typing import Any

import slicer
from slicer.i18n import tr as _


def putInFolder(bundleName: str, volume: Any, nodes: Iterable[Any]) -> None:
    """Put nodes into a new folder where the volume stands: in its study, or in whatever holds it."""
    tree = _tree()
    name = tree.GenerateUniqueItemName(_("FedCross: {bundle}").format(bundle=bundleName))
    folder = tree.CreateFolderItem(_parentOf(tree, tree.GetItemByDataNode(volume)), name)
    for node in nodes:
        _put(tree, folder, node)


def putBeside(node: Any, sibling: Any) -> None:
    """Put a node into the folder of another."""
    tree = _tree()
    _put(tree, _parentOf(tree, tree.GetItemByDataNode(sibling)), node)


def folderOf(node: Any) -> int:
    """Return the item that holds a node's item; the scene's when there is no item."""
    tree = _tree()
    return _parentOf(tree, tree.GetItemByDataNode(node))


def removeIfEmpty(folder: int) -> None:
    """Remove a folder that holds nothing any more."""
    tree = _tree()
    if folder != tree.GetSceneItemID() and tree.GetNumberOfItemChildren(folder) == 0:
        tree.RemoveItem(folder)


def _tree() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _parentOf(tree: Any, item: int) -> int:
    """The parent of an item; the scene's item when there is none."""
    known = item != tree.GetInvalidItemID()
    return int(tree.GetItemParent(item) if known else tree.GetSceneItemID())


def _put(tree: Any, folder: int, node: Any) -> None:
    # Slicer lists most nodes by itself, at the top; CreateItem moves those and lists the others.
    tree.CreateItem(folder, node)
