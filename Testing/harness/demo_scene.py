"""Create the Slicer scene of a result with the module's own code; draw it and save it.

    python Testing/harness/demo_scene.py --image I --result D --bundle B --out SCENE

writes axial.png, sagittal.png, coronal.png, view3d.png and scene.mrb. The slices show the most
uncertain hot spot. If a file is missing, the script prints one sentence and exits with code 2.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "FedCrossSlicer")]

from fedcross.contract.files import SUMMARY  # noqa: E402 - after the path
from harness import preflight  # noqa: E402 - needs the path above

SLICES = {"Red": "axial.png", "Yellow": "sagittal.png", "Green": "coronal.png"}
SOLID = "view3d.png"
SCENE = "scene.mrb"
LEGEND_ROOM = 0.2  # share of a picture's width that is kept free of anatomy on the right


def build(image: Path, result: Path, out: Path) -> None:
    """Create the scene, its four pictures and its .mrb file."""
    import slicer

    from harness import application, services

    app = application.start()
    services.provide()
    from FedCrossSlicerLib.tasks.load import loadResult
    from harness.views import SliceView, ThreeDView

    out.mkdir(parents=True, exist_ok=True)
    slices = [SliceView(app, name) for name in SLICES]
    solid = ThreeDView(app)
    volume = slicer.util.loadVolume(str(image.resolve()), {"name": "Volume", "show": False})
    nodes = loadResult(result, volume)
    spot = _hottestSpot(nodes)
    for view in slices:
        view.fit()
        view.node.JumpSliceByOffsetting(*spot)
        view.makeRoomAtTheRight(LEGEND_ROOM)
        view.save(out / SLICES[view.node.GetName()])
        view.fit()
        view.node.JumpSliceByOffsetting(*spot)
    slices[0].node.SetSliceVisible(True)
    _arrange(solid, fromBelow=spot[2] > _middle(nodes.segmentation)[2])
    solid.save(out / SOLID)
    slicer.util.saveScene(str(out.resolve() / SCENE))


def _arrange(solid: Any, fromBelow: bool) -> None:
    """Show the surface and the axial slice, from the side on which most of the surface lies."""
    import slicer

    solid.node.SetBoxVisible(False)
    solid.node.SetAxisLabelsVisible(False)
    solid.node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes)
    solid.lookFrom(azimuth=30, elevation=-26 if fromBelow else 26, zoom=1.0)


def _middle(node: Any) -> tuple[float, float, float]:
    """The centre of a node's bounds in RAS."""
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    x, y, z = ((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True))
    return (x, y, z)


def _hottestSpot(nodes: Any) -> tuple[float, float, float]:
    """Position of the first hot spot, or of the most uncertain voxel if there is none; RAS."""
    import numpy as np
    import slicer

    from FedCrossSlicerLib.scene.review import Review

    for spot in Review(nodes).spots:
        return spot.position
    heat = slicer.util.arrayFromVolume(nodes.heat)  # (z, y, x)
    z, y, x = np.unravel_index(heat.argmax(), heat.shape)
    matrix = slicer.util.arrayFromVTKMatrix(_indexToRAS(nodes.heat))
    right, anterior, superior, _ = matrix @ (x, y, z, 1)
    return (float(right), float(anterior), float(superior))


def _indexToRAS(volume: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, required=True, help="the segmented volume")
    parser.add_argument("--result", type=Path, required=True, help="folder of the result")
    parser.add_argument("--bundle", type=Path, help="what it was segmented with; not opened")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and scene")
    return parser.parse_args()


def main() -> int:
    """Return the exit code."""
    arguments = _arguments()
    for needed in (arguments.image, arguments.result / SUMMARY):
        if not needed.exists():
            print(f"There is no {needed}.", file=sys.stderr)
            return 2
    if not preflight.can_render():
        print(preflight.advice(), file=sys.stderr)
        return 2
    from FedCrossSlicerLib.errors import InferenceError

    try:
        build(arguments.image, arguments.result, arguments.out)
    except InferenceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
