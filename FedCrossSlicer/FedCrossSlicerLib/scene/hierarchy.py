"""Where a result stands in the subject hierarchy: in a folder of its own beside the volume."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import slicer
from slicer.i18n import tr as _

_OURS = "FedCross.Folder"


def putInFolder(bundleName: str, volume: Any, nodes: Iterable[Any]) -> None:
    """Put nodes into a new folder where the volume stands: in its study, or in whatever holds it."""
    tree = _tree()
    name = tree.GenerateUniqueItemName(_("FedCross: {bundle}").format(bundle=bundleName))
    folder = tree.CreateFolderItem(_holderOf(tree, volume), name)
    tree.SetItemAttribute(folder, _OURS, "1")
    for node in nodes:
        # Slicer lists most nodes by itself, at the top; CreateItem moves those and lists the others.
        tree.CreateItem(folder, node)


def putBeside(node: Any, sibling: Any) -> None:
    """Put a node into whatever holds another."""
    tree = _tree()
    tree.CreateItem(_holderOf(tree, sibling), node)


@contextmanager
def withoutEmptyFolder(nodes: Iterable[Any]) -> Iterator[None]:
    """Remove the folder that was made for nodes, if there is nothing left in it afterwards."""
    tree = _tree()
    folders = {_holderOf(tree, node) for node in nodes}
    yield
    for folder in folders:
        if tree.GetItemAttribute(folder, _OURS) and tree.GetNumberOfItemChildren(folder) == 0:
            tree.RemoveItem(folder)


def _tree() -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def _holderOf(tree: Any, node: Any) -> int:
    """The item that holds a node's; the scene's when the node is not listed."""
    item = tree.GetItemByDataNode(node)
    known = item != tree.GetInvalidItemID()
    return int(tree.GetItemParent(item) if known else tree.GetSceneItemID())
