"""Build the Slicer scene of a finished result with the module's own code; draw it and save it.

    python Testing/harness/demo_scene.py --image I --result D --bundle B --out SCENE

writes axial.png, sagittal.png, coronal.png, view3d.png and scene.mrb. The slices run through the hottest
spot.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "FedCrossSlicer")]

from harness.preflight import SENTENCE, can_render  # noqa: E402 - needs the path above

FILES = {"Red": "axial.png", "Yellow": "sagittal.png", "Green": "coronal.png"}


def build(image: Path, result: Path, out: Path) -> None:
    """Make the scene, its four pictures and its .mrb."""
    import slicer

    from FedCrossSlicerLib.presentation import present
    from harness.application import start
    from harness.views import SliceView, ThreeDView

    out.mkdir(parents=True, exist_ok=True)
    app = start()
    slices = [SliceView(app, name) for name in FILES]
    solid = ThreeDView(app)
    volume = slicer.util.loadVolume(str(image), {"name": "Held-out volume", "show": False})
    volume.GetDisplayNode().SetInterpolate(True)
    presented = present(result, volume)
    spot = _where_to_look(presented.summary, volume)
    for view in slices:
        view.fit()
        view.node.JumpSliceByOffsetting(*spot)
        view.zoom(1.25)
        view.save(out / FILES[view.node.GetName()])
    solid.node.SetBoxVisible(False)
    solid.node.SetAxisLabelsVisible(False)
    solid.node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes)
    solid.lookFrom(azimuth=30, elevation=20, zoom=0.8)
    solid.save(out / "view3d.png")
    slicer.util.saveScene(str(out / "scene.mrb"))


def _where_to_look(summary: dict[str, Any], volume: Any) -> tuple[float, float, float]:
    """The first hot spot in RAS, or the middle of the volume."""
    if summary["hot_spots"]:
        left, posterior, superior = summary["hot_spots"][0]["centroid_mm"]
        return (-left, -posterior, superior)
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return tuple((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("image", "result", "bundle", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    if not can_render():
        print(SENTENCE, file=sys.stderr)
        sys.exit(2)
    build(arguments.image, arguments.result, arguments.out)


if __name__ == "__main__":
    main()
