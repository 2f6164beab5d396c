"""Load a result folder into the scene: create its nodes, name them, style them, display them.

MRML, but no Qt. The panel, the tests and the demo's pictures use it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.bundle.nrrd import requireWhole
from FedCrossSlicerLib.bundle.result import Result
from FedCrossSlicerLib.bundle.summary import readResult
from FedCrossSlicerLib.display.contours import styleContours
from FedCrossSlicerLib.display.heatmap import styleMap
from FedCrossSlicerLib.display.outlines import styleOutlines
from FedCrossSlicerLib.display.view import ViewOptions, show
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene import roles
from FedCrossSlicerLib.scene.edits import isEdited, recordFingerprint
from FedCrossSlicerLib.scene.figures import newFigures, recordFamiliarity
from FedCrossSlicerLib.scene.hierarchy import putInFolder
from FedCrossSlicerLib.scene.hotspots import newHotSpots, newMarker
from FedCrossSlicerLib.scene.nodes import ResultNodes, uniqueName
from FedCrossSlicerLib.scene.review import Review, recordGrid
from FedCrossSlicerLib.scene.sequences import recordTimePoint, segmentedTimePoint
from FedCrossSlicerLib.tasks.rollback import rollback

if TYPE_CHECKING:
    from slicer import (
        vtkMRMLNode,
        vtkMRMLScalarVolumeNode,
        vtkMRMLSegmentationNode,
        vtkMRMLStorageNode,
    )

OUTLINE_PIXELS = 3


def loadResult(folder: Path, volume: vtkMRMLScalarVolumeNode, timePoint: str = "") -> ResultNodes:
    """Load a result folder and display it over the segmented volume.

    An earlier result of the same volume, time point and bundle is removed, unless the user has edited
    its segmentation or marked one of its hot spots.

    Parameters
    ----------
    folder
        The result folder. The files that only `for_viewer` requests may be missing.
    volume
        The segmented volume node. The result lies in world space, under no transform, even if the
        volume is under one.
    timePoint
        The time point of a sequence that was segmented, such as ``"0.1 s"``; ``""`` for none.

    Returns
    -------
    ResultNodes
        The result, in the scene and displayed.

    Raises
    ------
    InferenceError
        If a file of the result is missing or unreadable; the scene is then as it was before.
    """
    result = readResult(folder.resolve())  # absolute: MRML reads paths relative to the scene file
    for file in result.files:
        requireWhole(file)
    outdated = [
        nodes
        for nodes in ResultNodes.all(slicer.mrmlScene)
        if segmentedTimePoint(nodes) == timePoint and _isReplacedBy(nodes, result, volume)
    ]
    with rollback():
        nodes = _load(result, volume)
    for each in outdated:
        each.remove()
    recordTimePoint(nodes, timePoint)
    _name(nodes, f"{volume.GetName()} {timePoint}".strip())
    putInFolder(result.bundleName, volume, nodes.owned())
    show(nodes, ViewOptions(measure=result.measure))
    return nodes


def _isReplacedBy(nodes: ResultNodes, result: Result, volume: vtkMRMLScalarVolumeNode) -> bool:
    """Whether a result has the volume and bundle of the new one and the user has not changed it."""
    same = nodes.volume is volume and nodes.bundleHash == result.bundleHash
    return same and not isEdited(nodes) and Review(nodes).progress[0] == 0


def _load(result: Result, volume: vtkMRMLScalarVolumeNode) -> ResultNodes:
    """Load the files, and create the tables and the marker."""
    segmentation = _readSegmentation(result.segmentation)
    _recordProvenance(segmentation, result)
    _styleSegmentation(segmentation, volume)
    nodes = ResultNodes(segmentation)
    nodes.addReference(roles.VOLUME, volume)
    _loadMaps(nodes, result)
    if result.distance is not None:
        distance = _readVolume(result.distance, hidden=True)
        nodes.attach(roles.DISTANCE, distance)
    if result.outlines is not None:
        outlines = _readSegmentation(result.outlines)
        styleOutlines(outlines, result.members)
        nodes.attach(roles.OUTLINES, outlines)
    if result.contours is not None:
        contours = _readSegmentation(result.contours)
        styleContours(contours)
        nodes.attach(roles.CONTOURS, contours)
    _loadEnsemble(nodes, result)
    figures = newFigures("figures", result.structures, segmentation)
    recordFamiliarity(figures, result.familiarity)
    nodes.attach(roles.FIGURES, figures)
    nodes.attach(roles.HOT_SPOTS, newHotSpots("hot spots", result.hotSpots))
    nodes.attach(roles.MARKER, newMarker("marker"))
    _requireOneGrid([nodes.heat, *nodes.maps.values(), nodes.distance])
    recordFingerprint(nodes)
    recordGrid(nodes)
    return nodes


def _loadMaps(nodes: ResultNodes, result: Result) -> None:
    for measure, each in result.maps.items():
        node = _readVolume(each.file, hidden=True)  # the views display the heat node
        styleMap(node, each.windowMax, ViewOptions.threshold)
        nodes.attach(roles.MAP, node)
        node.SetAttribute(roles.MEASURE, measure)
        node.SetAttribute(roles.PREFIX + "WindowMax", repr(each.windowMax))
    requested = result.maps[result.measure]
    heat = _readVolume(requested.file)
    styleMap(heat, requested.windowMax, ViewOptions.threshold)
    nodes.attach(roles.HEAT, heat)


def _loadEnsemble(nodes: ResultNodes, result: Result) -> None:
    """Load what DICOM files are made of, for a result of a volume from DICOM."""
    if result.ensemble is None or result.description is None:
        return
    try:
        description = result.description.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InferenceError(_("The result cannot be read. Is the disk full?")) from error
    node = _readVolume(result.ensemble, hidden=True)
    node.SetAttribute(roles.DESCRIPTION, description)
    nodes.attach(roles.ENSEMBLE, node)


def _readVolume(path: Path, hidden: bool = False) -> vtkMRMLScalarVolumeNode:
    node = slicer.vtkMRMLScalarVolumeNode()
    # Before the node is in the scene: Slicer lists a node when it is added, and keeps it listed.
    node.SetHideFromEditors(hidden)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetSingleFile(True)
    return _read(node, storage, path)


def _readSegmentation(path: Path) -> vtkMRMLSegmentationNode:
    return _read(slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode(), path)


def _read(node: vtkMRMLNode, storage: vtkMRMLStorageNode, path: Path) -> vtkMRMLNode:
    """Add a node with a file's content and without a storage node.

    Saving the scene then writes the data to a new file. `slicer.util.loadVolume` would keep the path of
    the temporary file and add it to Slicer's list of recent files.
    """
    slicer.mrmlScene.AddNode(node)
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        raise InferenceError(_("The result cannot be read. Is the disk full?"))
    node.CreateDefaultDisplayNodes()
    return node


def _requireOneGrid(volumes: Sequence[vtkMRMLScalarVolumeNode | None]) -> None:
    """Raise if two volumes differ in size: maps and distances are combined voxel by voxel."""
    sizes = {node.GetImageData().GetDimensions() for node in volumes if node is not None}
    if len(sizes) > 1:
        raise InferenceError(_("The maps of the result differ in size."))


def _name(nodes: ResultNodes, volumeName: str) -> None:
    """Name every node after the volume; a name that exists already gets a number."""
    names = {
        roles.SEGMENTATION: _("{volume} segmentation"),
        roles.HEAT: _("{volume} uncertainty"),
        roles.MAP: _("{volume} {measure} map"),
        roles.DISTANCE: _("{volume} distance"),
        roles.OUTLINES: _("{volume} members"),
        roles.CONTOURS: _("{volume} contours"),
        roles.FIGURES: _("{volume} figures"),
        roles.HOT_SPOTS: _("{volume} hot spots"),
        roles.MARKER: _("{volume} hot spot"),
        roles.ENSEMBLE: _("{volume} probabilities"),
    }
    for node in nodes.owned():
        measure = node.GetAttribute(roles.MEASURE).replace("_", " ")
        name = names[node.GetAttribute(roles.ROLE)].format(volume=volumeName, measure=measure)
        node.SetName(uniqueName(name))


def _styleSegmentation(
    segmentation: vtkMRMLSegmentationNode, volume: vtkMRMLScalarVolumeNode
) -> None:
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    display.SetVisibility3D(True)


def _recordProvenance(segmentation: vtkMRMLSegmentationNode, result: Result) -> None:
    """Store in attributes where the result comes from; `ResultNodes.attach` copies them."""
    values = (
        result.bundleName,
        result.bundleHash,
        str(result.members),
        result.measure,
        result.created,
        result.packages.get("fedcross", ""),
        json.dumps(dict(result.packages), sort_keys=True),
        result.computedWith,
    )
    for name, value in zip(roles.PROVENANCE, values, strict=True):
        segmentation.SetAttribute(roles.PREFIX + name, value)
    segmentation.SetAttribute(roles.ROLE, roles.SEGMENTATION)
