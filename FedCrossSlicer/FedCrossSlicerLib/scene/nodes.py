"""The nodes of one result, found again in any scene.

Everything hangs on the segmentation node by node references, which MRML saves and renames with the
scene; where it comes from stands in node attributes. So nothing is remembered beside the scene.
"""

from collections.abc import Iterator
from typing import Any

import slicer

from FedCrossSlicerLib.scene.hierarchy import withoutEmptyFolder

PREFIX = "FedCross."
ROLE = PREFIX + "Role"
SEGMENTATION = "segmentation"
VOLUME, HEAT, MAP, DISTANCE = "volume", "heat", "map", "distance"
OUTLINES, SURFACE, FIGURES, HOT_SPOTS, MARKER = (
    "outlines",
    "surface",
    "figures",
    "hotSpots",
    "marker",
)
OWNER = PREFIX + "owner"
"""How an owned node refers back to its segmentation. A cloned segmentation refers to the original's
nodes as well, but they do not refer to it."""
OWNED = (HEAT, MAP, DISTANCE, OUTLINES, SURFACE, FIGURES, HOT_SPOTS, MARKER)
"""Roles of the nodes that come and go with the result; the volume is the user's."""
PROVENANCE = (
    "Bundle",
    "BundleSHA256",
    "Members",
    "Measure",
    "Date",
    "Version",
    "Packages",
    "Computed",
)
"""Attributes of every node of a result, after the prefix. Neither paths nor people."""


class ResultNodes:
    """One result, by its segmentation node.

    Whatever the user deleted is None; `maps` then simply lacks it.

    Parameters
    ----------
    segmentation
        The ensemble's segmentation, which refers to all the others.
    """

    def __init__(self, segmentation: Any) -> None:
        self.segmentation = segmentation

    @staticmethod
    def of(segmentation: Any) -> "ResultNodes | None":
        """Return the result of a segmentation node; None if it is not a result's, or a clone."""
        if segmentation is None or segmentation.GetAttribute(ROLE) != SEGMENTATION:
            return None
        result = ResultNodes(segmentation)
        return result if len(result.owned()) > 1 else None

    @staticmethod
    def all(scene: Any) -> "list[ResultNodes]":
        """Return the results in a scene, oldest first."""
        nodes = _ofClass(scene, "vtkMRMLSegmentationNode")
        return [result for node in nodes if (result := ResultNodes.of(node)) is not None]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultNodes) and other.segmentation is self.segmentation

    def __hash__(self) -> int:
        return hash(self.segmentation.GetID())

    @property
    def name(self) -> str:
        """The segmentation's name."""
        return str(self.segmentation.GetName())

    @property
    def volume(self) -> Any:
        """The volume that was segmented."""
        return self.segmentation.GetNodeReference(PREFIX + VOLUME)

    @property
    def heat(self) -> Any:
        """The map over the volume in the slice views: one measure, masked or not."""
        return self._node(HEAT)

    @property
    def maps(self) -> dict[str, Any]:
        """The untouched map of every measure; without those that a scene was saved without."""
        return {
            node.GetAttribute(PREFIX + "Measure"): node
            for node in self._nodes(MAP)
            if node.GetImageData() is not None
        }

    @property
    def distance(self) -> Any:
        """Distance to the nearest structure, whole mm up to 255."""
        node = self._node(DISTANCE)
        return node if node is not None and node.GetImageData() is not None else None

    @property
    def outlines(self) -> Any:
        """Segmentation node with what each member says, all of them say, and any of them says."""
        return self._node(OUTLINES)

    @property
    def surface(self) -> Any:
        """Model node: the segmentation's surface with a map's values; None until first shown."""
        return self._node(SURFACE)

    @property
    def figures(self) -> Any:
        """Table node, one row a structure."""
        return self._node(FIGURES)

    @property
    def hotSpots(self) -> Any:
        """Table node, one row a hot spot, with what was said about it in the review."""
        return self._node(HOT_SPOTS)

    @property
    def marker(self) -> Any:
        """Markups node with one point: the hot spot under review."""
        return self._node(MARKER)

    @property
    def bundleName(self) -> str:
        """The bundle that segmented."""
        return self._noted("Bundle")

    @property
    def bundleHash(self) -> str:
        """SHA-256 of that bundle's manifest."""
        return self._noted("BundleSHA256")

    @property
    def members(self) -> int:
        """The number of members, K."""
        return int(self._noted("Members") or 0)

    @property
    def computed(self) -> str:
        """What the members were run with, in words; ``""`` for a result that does not say."""
        return self._noted("Computed")

    @property
    def askedMeasure(self) -> str:
        """What was computed for; the hot spots are those of its map."""
        return self._noted("Measure")

    @property
    def measure(self) -> str:
        """What the heat map shows now."""
        return str(self.heat.GetAttribute(PREFIX + "Measure")) if self.heat else self.askedMeasure

    def windowMax(self, measure: str) -> float:
        """Return the largest value that a measure can take.

        Raises
        ------
        KeyError
            If the result has no map of it.
        """
        return float(self.maps[measure].GetAttribute(PREFIX + "WindowMax"))

    def owned(self) -> list[Any]:
        """Return every node of the result, the segmentation first."""
        return [self.segmentation, *(node for role in OWNED for node in self._nodes(role))]

    def attach(self, role: str, node: Any) -> None:
        """Make a node the result's, with its provenance; several can have the role of a map."""
        for name in PROVENANCE:
            node.SetAttribute(PREFIX + name, self.segmentation.GetAttribute(PREFIX + name))
        node.SetAttribute(ROLE, role)
        node.SetNodeReferenceID(OWNER, self.segmentation.GetID())
        self.refer(role, node)

    def refer(self, role: str, node: Any) -> None:
        """Refer to a node without marking it as the result's."""
        self.segmentation.AddNodeReferenceID(PREFIX + role, node.GetID())

    def remove(self) -> None:
        """Take the result out of the scene; the volume stays."""
        nodes = self.owned()
        with withoutEmptyFolder(nodes):
            for node in reversed(nodes):
                _remove(node)

    def _noted(self, name: str) -> str:
        return str(self.segmentation.GetAttribute(PREFIX + name) or "")

    def _node(self, role: str) -> Any:
        return next(self._nodes(role), None)

    def _nodes(self, role: str) -> Iterator[Any]:
        for index in range(self.segmentation.GetNumberOfNodeReferences(PREFIX + role)):
            node = self.segmentation.GetNthNodeReference(PREFIX + role, index)
            if node is not None and node.GetNodeReference(OWNER) is self.segmentation:
                yield node


def removeUnreachable(scene: Any) -> None:
    """Remove the hidden nodes of results whose segmentation is gone: nobody else can."""
    for node in _ofClass(scene, "vtkMRMLScalarVolumeNode"):
        hidden = node.GetAttribute(ROLE) in (MAP, DISTANCE) and node.GetHideFromEditors()
        if hidden and node.GetNodeReference(OWNER) is None:
            _remove(node)


def _ofClass(scene: Any, className: str) -> list[Any]:
    found = scene.GetNodesByClass(className)
    found.UnRegister(None)
    return [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]


def freeName(name: str) -> str:
    """Return a name, with a number behind it when a node has it already.

    Unlike the scene's own unique names, that of a removed node is free again.
    """
    number, free = 0, name
    while slicer.mrmlScene.GetFirstNodeByName(free) is not None:
        number += 1
        free = f"{name}_{number}"
    return free


def _remove(node: Any) -> None:
    """Remove a node with its display and storage nodes, which MRML would leave behind."""
    helpers = [node.GetStorageNode()]
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(i) for i in range(node.GetNumberOfDisplayNodes())]
    for each in (node, *helpers):
        if each is not None:
            slicer.mrmlScene.RemoveNode(each)
