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

from FedCrossSlicerLib.bundle.nrrd import requireWhole
from FedCrossSlicerLib.bundle.result import Result, readResult
from FedCrossSlicerLib.display.heatmap import styleMap
from FedCrossSlicerLib.display.outlines import styleOutlines
from FedCrossSlicerLib.display.view import ViewOptions, show
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene import nodes as roles
from FedCrossSlicerLib.scene.edits import noteUnedited, wasEdited
from FedCrossSlicerLib.scene.figures import newFigures
from FedCrossSlicerLib.scene.hierarchy import putInFolder
from FedCrossSlicerLib.scene.nodes import PREFIX, ResultNodes, freeName
from FedCrossSlicerLib.scene.review import Review, newHotSpots, newMarker

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
    earlier = ResultNodes.all(slicer.mrmlScene)
    outdated = [nodes for nodes in earlier if _makesWay(nodes, result, volume)]
    with _allOrNothing():
        nodes = _load(result, volume)
    for each in outdated:
        each.remove()
    _name(nodes, volume.GetName())
    putInFolder(result.bundleName, volume, nodes.owned())
    slicer.util.setSliceViewerLayers(background=volume)
    show(nodes, ViewOptions(measure=result.measure))
    return nodes


def _makesWay(nodes: ResultNodes, result: Result, volume: Any) -> bool:
    """Whether these nodes say what the new result says again, and nobody has worked on them."""
    same = nodes.volume is volume and nodes.bundleHash == result.bundleHash
    return same and not wasEdited(nodes) and Review(nodes).progress[0] == 0


def _load(result: Result, volume: Any) -> ResultNodes:
    """Bring the files into the scene, and make the tables and the marker."""
    segmentation = _readSegmentation(result.segmentation)
    _noteProvenance(segmentation, result)
    _styleSegmentation(segmentation, volume)
    nodes = ResultNodes(segmentation)
    nodes.refer(roles.VOLUME, volume)
    _loadMaps(nodes, result)
    if result.distance is not None:
        distance = _readVolume(result.distance, hidden=True)
        nodes.attach(roles.DISTANCE, distance)
    if result.outlines is not None:
        outlines = _readSegmentation(result.outlines)
        styleOutlines(outlines, result.members)
        nodes.attach(roles.OUTLINES, outlines)
    nodes.attach(roles.FIGURES, newFigures("figures", result.structures, segmentation))
    nodes.attach(roles.HOT_SPOTS, newHotSpots("hot spots", result.hotSpots))
    nodes.attach(roles.MARKER, newMarker("marker"))
    _requireOneGrid([nodes.heat, *nodes.maps.values(), nodes.distance])
    noteUnedited(nodes)
    return nodes


def _loadMaps(nodes: ResultNodes, result: Result) -> None:
    for measure, each in result.maps.items():
        node = _readVolume(each.file, hidden=True)  # what is seen of it is in the heat node
        styleMap(node, each.windowMax, ViewOptions.threshold)
        nodes.attach(roles.MAP, node)
        node.SetAttribute(PREFIX + "Measure", measure)
        node.SetAttribute(PREFIX + "WindowMax", repr(each.windowMax))
    asked = result.maps[result.measure]
    heat = _readVolume(asked.file)
    styleMap(heat, asked.windowMax, ViewOptions.threshold)
    nodes.attach(roles.HEAT, heat)


def _readVolume(path: Path, hidden: bool = False) -> Any:
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetHideFromEditors(
        hidden
    )  # Slicer does not expect it of a node that it has listed already
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(True)
    return _read(node, storage, path)


def _readSegmentation(path: Path) -> Any:
    return _read(slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode(), path)


def _read(node: Any, storage: Any, path: Path) -> Any:
    """Add a node with a file's content, which knows nothing of the file.

    So saving the scene writes the data anew. `slicer.util.load...` would put every file, which is
    deleted soon, into Slicer's list of recently loaded ones, too.
    """
    slicer.mrmlScene.AddNode(node)
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        raise InferenceError(_("The result cannot be read; is the disk full?"))
    node.CreateDefaultDisplayNodes()
    return node


def _requireOneGrid(volumes: list[Any]) -> None:
    """Maps are put together voxel by voxel."""
    sizes = {node.GetImageData().GetDimensions() for node in volumes if node is not None}
    if len(sizes) > 1:
        raise InferenceError(_("The result's maps do not fit one another; is it complete?"))


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
        measure = node.GetAttribute(PREFIX + "Measure").replace("_", " ")
        name = names[node.GetAttribute(roles.ROLE)].format(volume=volumeName, measure=measure)
        node.SetName(freeName(name))


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


def _noteProvenance(segmentation: Any, result: Result) -> None:
    """Note on the segmentation where it comes from; what is attached to it gets the same."""
    values = (
        result.bundleName,
        result.bundleHash,
        str(result.members),
        result.measure,
        result.created,
        result.packages.get("fedcross", ""),
        json.dumps(dict(result.packages), sort_keys=True),
        result.computed,
    )
    for name, value in zip(roles.PROVENANCE, values, strict=True):
        segmentation.SetAttribute(PREFIX + name, value)
    segmentation.SetAttribute(roles.ROLE, roles.SEGMENTATION)
