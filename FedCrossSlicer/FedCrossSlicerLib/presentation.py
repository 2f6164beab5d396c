"""A finished result in the scene: all its nodes, named, styled and in a folder of their own.

Only MRML here, no Qt: the module, its tests and the demo's pictures all go through this.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib import resultnodes as roles
from FedCrossSlicerLib.edits import noteUnedited, wasEdited
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.figures import newFigures
from FedCrossSlicerLib.heatmap import styleMap
from FedCrossSlicerLib.hierarchy import putInFolder
from FedCrossSlicerLib.nrrd import requireWhole
from FedCrossSlicerLib.outlines import styleOutlines
from FedCrossSlicerLib.result import Result, readResult
from FedCrossSlicerLib.resultnodes import PREFIX, ResultNodes
from FedCrossSlicerLib.review import Review, newHotSpots, newMarker
from FedCrossSlicerLib.view import ViewOptions, show

OUTLINE_PIXELS = 3


def present(folder: Path, volume: Any) -> ResultNodes:
    """Load a result folder and show it over the volume it was made from.

    An earlier result of the same volume and bundle goes, unless its segmentation was edited or one of
    its hot spots marked.

    Parameters
    ----------
    folder
        As the child leaves it, in world space; what only ``--for-viewer`` writes may be missing.
    volume
        The input volume node. Under a parent transform it is seen elsewhere than it is stored; the
        result lies where it is seen, and under no transform itself.

    Returns
    -------
    ResultNodes
        In the scene and visible.

    Raises
    ------
    InferenceError
        If a part of the result is missing or unreadable; the scene is then as it was.
    """
    result = readResult(folder.resolve())  # MRML takes relative paths as relative to the scene
    for file in result.files:
        requireWhole(file)
    earlier = [
        nodes for nodes in ResultNodes.all(slicer.mrmlScene) if _replaces(nodes, result, volume)
    ]
    with _allOrNothing():
        nodes = _load(result, volume)
        noteUnedited(nodes)
    for each in earlier:
        each.remove()
    _name(nodes, volume.GetName())
    putInFolder(result.bundleName, volume, nodes.owned())
    slicer.util.setSliceViewerLayers(background=volume)
    show(nodes, ViewOptions(measure=result.measure))
    return nodes


def _replaces(nodes: ResultNodes, result: Result, volume: Any) -> bool:
    """Whether a new result may take the place of these nodes."""
    same = nodes.volume is volume and nodes.bundleHash == result.bundleHash
    return same and not wasEdited(nodes) and Review(nodes).progress[0] == 0


def _load(result: Result, volume: Any) -> ResultNodes:
    try:
        segmentation = slicer.util.loadSegmentation(str(result.segmentation), {})
        maps = {measure: _loadVolume(each.file) for measure, each in result.maps.items()}
        distance = _loadVolume(result.distance) if result.distance else None
        outlines = (
            slicer.util.loadSegmentation(str(result.outlines), {}) if result.outlines else None
        )
    except RuntimeError as error:  # as slicer.util reports an unreadable file
        raise InferenceError("The result cannot be read; is the disk full?") from error
    nodes = ResultNodes(segmentation)
    segmentation.SetAttribute(roles.ROLE, roles.SEGMENTATION)
    nodes.refer(roles.VOLUME, volume)
    logic = slicer.modules.volumes.logic()
    for measure, node in maps.items():
        styleMap(node, result.maps[measure].windowMax, ViewOptions.threshold)
        node.SetAttribute(PREFIX + "WindowMax", repr(result.maps[measure].windowMax))
        nodes.attach(roles.MAP, node)
    heat = logic.CloneVolume(slicer.mrmlScene, maps[result.measure], "heat")
    nodes.attach(roles.HEAT, heat)
    if distance is not None:
        distance.SetHideFromEditors(True)
        nodes.attach(roles.DISTANCE, distance)
    if outlines is not None:
        styleOutlines(outlines, result.members)
        nodes.attach(roles.OUTLINES, outlines)
    nodes.attach(roles.FIGURES, newFigures("figures", result.structures, segmentation))
    nodes.attach(roles.HOT_SPOTS, newHotSpots("hot spots", result.hotSpots))
    nodes.attach(roles.MARKER, newMarker("marker"))
    _styleSegmentation(segmentation, volume)
    for node in nodes.owned():
        _forgetFile(node)
        _noteProvenance(node, result)
    for measure, node in maps.items():
        node.SetAttribute(PREFIX + "Measure", measure)
    return nodes


def _loadVolume(path: Path) -> Any:
    return slicer.util.loadVolume(str(path), {"show": False})


def _name(nodes: ResultNodes, volumeName: str) -> None:
    """Name every node after the volume; the second of a name gets a number."""
    names = {
        roles.SEGMENTATION: _("{volume} segmentation"),
        roles.HEAT: _("{volume} uncertainty"),
        roles.MAP: _("{volume} {measure} map"),
        roles.DISTANCE: _("{volume} distance"),
        roles.OUTLINES: _("{volume} members"),
        roles.FIGURES: _("{volume} figures"),
        roles.HOT_SPOTS: _("{volume} hot spots"),
        roles.MARKER: _("{volume} hot spot"),
    }
    for node in nodes.owned():
        name = names[node.GetAttribute(roles.ROLE)].format(
            volume=volumeName, measure=node.GetAttribute(PREFIX + "Measure")
        )
        node.SetName(slicer.mrmlScene.GenerateUniqueName(name))


@contextmanager
def _allOrNothing() -> Iterator[None]:
    """Take every node that came into the scene out again when something fails inside."""
    scene = slicer.mrmlScene
    before = {node.GetID() for node in _allNodes()}
    try:
        yield
    except BaseException:
        # Display and storage nodes stay when their node is removed, so each is named.
        for node in _allNodes():
            if node.GetID() not in before and not node.GetSingletonTag():
                scene.RemoveNode(node)
        raise


def _allNodes() -> list[Any]:
    nodes = slicer.mrmlScene.GetNodes()
    return [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]


def _styleSegmentation(segmentation: Any, volume: Any) -> None:
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    display.SetVisibility3D(True)


def _forgetFile(node: Any) -> None:
    """Cut the tie to the temporary file: saving the scene must write the data anew."""
    storage = node.GetStorageNode()
    if storage is not None:
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)


def _noteProvenance(node: Any, result: Result) -> None:
    """Note where a node comes from: neither paths nor people."""
    for name, value in {
        "Bundle": result.bundleName,
        "BundleSHA256": result.bundleHash,
        "Members": str(result.members),
        "Measure": result.measure,
        "Date": result.created,
        "Version": result.packages.get("fedcross", ""),
        "Packages": json.dumps(dict(result.packages), sort_keys=True),
    }.items():
        node.SetAttribute(PREFIX + name, value)
