"""What a result looks like in a scene, to be compared before saving and after opening elsewhere.

    python Testing/harness/reopened.py SCENE.mrb FOLDER

opens a scene in a process of its own and writes a picture of every slice view and facts.json to FOLDER.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def facts(nodes: Any) -> dict[str, Any]:
    """Return what is known of a result, node by node, without IDs."""
    import slicer

    told: dict[str, Any] = {"volume": nodes.volume.GetName(), "measures": sorted(nodes.maps)}
    for node in nodes.owned():
        tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        item = tree.GetItemByDataNode(node)
        told[node.GetName()] = {
            "class": node.GetClassName(),
            "attributes": {name: node.GetAttribute(name) for name in node.GetAttributeNames()},
            "folder": tree.GetItemName(tree.GetItemParent(item)),
            "hidden": bool(node.GetHideFromEditors()),
            "content": _content(node),
        }
    return told


def _content(node: Any) -> Any:
    import slicer

    if node.IsA("vtkMRMLScalarVolumeNode"):
        return _volume(node)
    if node.IsA("vtkMRMLSegmentationNode"):
        return _segmentation(node)
    if node.IsA("vtkMRMLTableNode"):
        table = node.GetTable()
        return [
            [table.GetColumnName(column)]
            + [str(table.GetValue(row, column)) for row in range(table.GetNumberOfRows())]
            for column in range(table.GetNumberOfColumns())
        ]
    if node.IsA("vtkMRMLMarkupsNode"):
        points = range(node.GetNumberOfControlPoints())
        return [
            (node.GetNthControlPointLabel(i), *(round(x, 3) for x in _position(node, i)))
            for i in points
        ] + [bool(node.GetLocked()), bool(node.GetDisplayNode().GetVisibility())]
    values = slicer.util.arrayFromModelPointData(node, "Uncertainty")
    return [len(values), round(float(values.mean()), 5), node.GetDisplayNode().GetVisibility()]


def _position(node: Any, index: int) -> tuple[float, float, float]:
    point = [0.0, 0.0, 0.0]
    node.GetNthControlPointPosition(index, point)
    return (point[0], point[1], point[2])


def _volume(node: Any) -> dict[str, Any]:
    import hashlib

    import slicer

    display = node.GetDisplayNode()
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(node)
    return {
        "voxels": hashlib.sha256(slicer.util.arrayFromVolume(node).tobytes()).hexdigest(),
        "window": [round(display.GetWindowLevelMin(), 5), round(display.GetWindowLevelMax(), 5)],
        "threshold": [display.GetApplyThreshold(), round(display.GetLowerThreshold(), 5)],
        "colors": display.GetColorNode().GetName(),
        "legend": legend and [legend.GetTitleText(), legend.GetVisibility()],
    }


def _segmentation(node: Any) -> dict[str, Any]:
    import slicer

    from FedCrossSlicerLib.scene.edits import fingerprint

    display, segments = node.GetDisplayNode(), node.GetSegmentation()
    reference = node.GetNodeReference(
        slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    )
    return {
        "fingerprint": fingerprint(node),
        "reference": reference and reference.GetName(),
        "visible": [display.GetVisibility(), display.GetVisibility3D()],
        "thickness": display.GetSliceIntersectionThickness(),
        "segments": {
            each: [
                segments.GetSegment(each).GetName(),
                [round(value, 4) for value in segments.GetSegment(each).GetColor()],
                display.GetSegmentVisibility(each),
                round(display.GetSegmentOpacity2DOutline(each), 4),
            ]
            for each in segments.GetSegmentIDs()
        },
    }


def main() -> int:
    """Return the exit code."""
    scene, folder = (Path(word).resolve() for word in sys.argv[1:])
    sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "FedCrossSlicer")]
    from harness import application, services

    app = application.start()
    services.provide()
    import slicer

    from FedCrossSlicerLib.scene.nodes import ResultNodes
    from harness.views import SliceView

    views = {name: SliceView(app, name, (300, 300)) for name in application.SLICE_VIEWS}
    slicer.util.loadScene(str(scene))
    for name, view in views.items():
        view.save(folder / f"{name}.png")
    told = [facts(nodes) for nodes in ResultNodes.all(slicer.mrmlScene)]
    (folder / "facts.json").write_text(json.dumps(told), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
