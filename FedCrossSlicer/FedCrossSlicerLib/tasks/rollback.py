"""Undo what a failed step has added to the scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from slicer import vtkMRMLNode


@contextmanager
def rollback() -> Iterator[None]:
    """If the ``with`` block raises, remove the nodes that it has added to the scene."""
    scene = slicer.mrmlScene
    before = {node.GetID() for node in _allNodes()}
    try:
        yield
    except BaseException:
        # MRML does not remove display and storage nodes with their node, so each is removed here.
        for node in _allNodes():
            if node.GetID() not in before and not node.GetSingletonTag():
                scene.RemoveNode(node)
        raise


def _allNodes() -> list[vtkMRMLNode]:
    nodes = slicer.mrmlScene.GetNodes()
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
