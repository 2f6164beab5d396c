"""The nodes of one result, found by node references in any scene.

The segmentation node refers to all other nodes of its result, and node attributes hold where the result
comes from. MRML saves both with the scene, so a result is found again after the scene was opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import slicer

from FedCrossSlicerLib.scene import roles
from FedCrossSlicerLib.scene.hierarchy import foldersOf, removeEmptyFolders

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLMarkupsFiducialNode,
        vtkMRMLModelNode,
        vtkMRMLNode,
        vtkMRMLScalarVolumeNode,
        vtkMRMLScene,
        vtkMRMLSegmentationNode,
        vtkMRMLTableNode,
    )


class ResultNodes:
    """One result. A node that was deleted, or whose image was lost, is None, or is not in `maps`.

    Parameters
    ----------
    segmentation
        The ensemble's segmentation node, which refers to all other nodes.
    """

    def __init__(self, segmentation: vtkMRMLSegmentationNode) -> None:
        self.segmentation = segmentation

    @staticmethod
    def of(segmentation: vtkMRMLSegmentationNode | None) -> ResultNodes | None:
        """Return the result of a segmentation node; None for a clone or another segmentation."""
        if segmentation is None or segmentation.GetAttribute(roles.ROLE) != roles.SEGMENTATION:
            return None
        result = ResultNodes(segmentation)
        return result if len(result.owned()) > 1 else None

    @staticmethod
    def all(scene: vtkMRMLScene) -> list[ResultNodes]:
        """Return the results in a scene, the oldest first."""
        nodes = _nodesOfClass(scene, "vtkMRMLSegmentationNode")
        return [result for node in nodes if (result := ResultNodes.of(node)) is not None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultNodes) and other.segmentation is self.segmentation

    def __hash__(self) -> int:
        return hash(self.segmentation.GetID())

    @property
    def name(self) -> str:
        """Name of the segmentation node."""
        return str(self.segmentation.GetName())

    @property
    def volume(self) -> vtkMRMLScalarVolumeNode | None:
        """The segmented volume."""
        return self.segmentation.GetNodeReference(roles.PREFIX + roles.VOLUME)

    @property
    def heat(self) -> vtkMRMLScalarVolumeNode | None:
        """The heat map in the slice views: the map of one measure, everywhere or in a region."""
        return self._withImage(roles.HEAT)

    @property
    def maps(self) -> dict[str, vtkMRMLScalarVolumeNode]:
        """The complete map of each measure. A ``.mrml`` scene may have been saved without some."""
        return {
            node.GetAttribute(roles.MEASURE): node
            for node in self._nodes(roles.MAP)
            if node.GetImageData() is not None
        }

    @property
    def distance(self) -> vtkMRMLScalarVolumeNode | None:
        """Distance of each voxel to the nearest structure in whole mm, 0 to 255."""
        return self._withImage(roles.DISTANCE)

    @property
    def outlines(self) -> vtkMRMLSegmentationNode | None:
        """Segmentation of each member, and the intersection and the union of all members."""
        return self._node(roles.OUTLINES)

    @property
    def contours(self) -> vtkMRMLSegmentationNode | None:
        """Inner and outer contour of each structure; None if the bundle was not calibrated."""
        return self._node(roles.CONTOURS)

    @property
    def surface(self) -> vtkMRMLModelNode | None:
        """The segmentation's surface with the values of a map; None until it is first displayed."""
        return self._node(roles.SURFACE)

    @property
    def figures(self) -> vtkMRMLTableNode | None:
        """Table with one row for each structure."""
        return self._node(roles.FIGURES)

    @property
    def hotSpots(self) -> vtkMRMLTableNode | None:
        """Table with one row for each hot spot and its state in the review."""
        return self._node(roles.HOT_SPOTS)

    @property
    def marker(self) -> vtkMRMLMarkupsFiducialNode | None:
        """Markups node with one point at the current hot spot."""
        return self._node(roles.MARKER)

    @property
    def ensemble(self) -> vtkMRMLScalarVolumeNode | None:
        """Label map and mean probabilities in 8 bits; None unless the volume is from DICOM."""
        return self._withImage(roles.ENSEMBLE)

    @property
    def bundleName(self) -> str:
        """Name of the bundle."""
        return self._attribute("Bundle")

    @property
    def bundleHash(self) -> str:
        """SHA-256 of the bundle's manifest."""
        return self._attribute("BundleSHA256")

    @property
    def members(self) -> int:
        """Number of members."""
        return int(self._attribute("Members") or 0)

    @property
    def computedWith(self) -> str:
        """Back-end, precision and processor; ``""`` for a result of an older version."""
        return self._attribute("Computed")

    @property
    def requestedMeasure(self) -> str:
        """The measure that the request named; the hot spots are those of its map."""
        return self._attribute("Measure")

    @property
    def measure(self) -> str:
        """The measure that the heat map displays."""
        heat = self.heat
        return str(heat.GetAttribute(roles.MEASURE)) if heat else self.requestedMeasure

    def windowMax(self, measure: str) -> float:
        """Return the largest value that a measure can have.

        Raises
        ------
        KeyError
            If the result has no map of the measure.
        """
        return float(self.maps[measure].GetAttribute(roles.PREFIX + "WindowMax"))

    def owned(self) -> list[vtkMRMLNode]:
        """Return every node of the result, the segmentation first. The volume is not one of them."""
        return [self.segmentation, *(node for role in roles.OWNED for node in self._nodes(role))]

    def attach(self, role: str, node: vtkMRMLNode) -> None:
        """Make a node part of the result and copy the provenance to it.

        Parameters
        ----------
        role
            One of `OWNED`. Several nodes can have the role `MAP`.
        node
            A node of the scene.
        """
        for name in roles.PROVENANCE:
            node.SetAttribute(
                roles.PREFIX + name, self.segmentation.GetAttribute(roles.PREFIX + name)
            )
        node.SetAttribute(roles.ROLE, role)
        node.SetNodeReferenceID(roles.OWNER, self.segmentation.GetID())
        self.addReference(role, node)

    def addReference(self, role: str, node: vtkMRMLNode) -> None:
        """Refer to a node that does not become part of the result."""
        self.segmentation.AddNodeReferenceID(roles.PREFIX + role, node.GetID())

    def remove(self) -> None:
        """Remove the result's nodes from the scene, and its folder if that is empty then."""
        nodes = self.owned()
        folders = foldersOf(nodes)
        for node in reversed(nodes):
            _remove(node)
        removeEmptyFolders(folders)

    def _attribute(self, name: str) -> str:
        return str(self.segmentation.GetAttribute(roles.PREFIX + name) or "")

    def _withImage(self, role: str) -> vtkMRMLScalarVolumeNode | None:
        node = self._node(role)
        return node if node is not None and node.GetImageData() is not None else None

    def _node(self, role: str) -> vtkMRMLNode | None:
        return next(self._nodes(role), None)

    def _nodes(self, role: str) -> Iterator[vtkMRMLNode]:
        for index in range(self.segmentation.GetNumberOfNodeReferences(roles.PREFIX + role)):
            node = self.segmentation.GetNthNodeReference(roles.PREFIX + role, index)
            if node is not None and node.GetNodeReference(roles.OWNER) is self.segmentation:
                yield node


def removeOrphans(scene: vtkMRMLScene) -> None:
    """Remove the hidden nodes, which the user cannot delete, of results without a segmentation."""
    for node in _nodesOfClass(scene, "vtkMRMLScalarVolumeNode"):
        hidden = node.GetAttribute(roles.ROLE) in roles.HIDDEN and node.GetHideFromEditors()
        if hidden and node.GetNodeReference(roles.OWNER) is None:
            _remove(node)


def _nodesOfClass(scene: vtkMRMLScene, className: str) -> list[vtkMRMLNode]:
    found = scene.GetNodesByClass(className)
    found.UnRegister(None)
    return [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]


def uniqueName(name: str) -> str:
    """Return a name that no node of the scene has: `name`, or `name` with a number behind it.

    The scene's own `GenerateUniqueName` does not use the name of a removed node again; this does.
    """
    number, unique = 0, name
    while slicer.mrmlScene.GetFirstNodeByName(unique) is not None:
        number += 1
        unique = f"{name}_{number}"
    return unique


def _remove(node: vtkMRMLNode) -> None:
    """Remove a node, and its display and storage nodes, which MRML does not remove with it."""
    helpers = [node.GetStorageNode()]
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
    for each in (node, *helpers):
        if each is not None:
            slicer.mrmlScene.RemoveNode(each)
