"""Draw the module's panel after a real segmentation: at 100 % and 200 %, light and dark.

    python Testing/harness/panel_pictures.py --image I --bundle B --calibrated C --out FOLDER

writes panel_light.png, panel_dark.png, panel_light_200.png, panel_dark_200.png, and the slice views with
the members' outlines and the 3D surface coloured by the uncertainty (outlines.png, surface.png). With
the calibrated bundle it writes panel_calibrated.png, and a slice with the inner and the outer contour
(contours.png). Each picture of the panel needs its own process, because Qt reads its scale at the start.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "FedCrossSlicer")]

LOOKS = {
    "panel_light": ("1", False),
    "panel_dark": ("1", True),
    "panel_light_200": ("2", False),
    "panel_dark_200": ("2", True),
}
CALIBRATED = "panel_calibrated"
AXIAL, CORONAL = 0, 2  # places in `application.SLICE_VIEWS`
WIDTH = 460
TIMEOUT_S = 600


def draw(image: Path, bundle: Path, out: Path, name: str, dark: bool) -> None:
    """Segment, open every section and save the panel's picture; once also those of the views."""
    from harness import application, module_loader
    from harness.views import SliceView, ThreeDView

    qt = module_loader.start_qt()
    if dark:
        _darken(qt)
    app = application.start()
    slices = [SliceView(app, view) for view in application.SLICE_VIEWS]
    solid = ThreeDView(app)
    import slicer

    volume = slicer.util.loadVolume(str(image), {"name": "T2 axial"})
    representation = module_loader.load(ROOT / "FedCrossSlicer" / "FedCrossSlicer.py")
    widget = representation.widgetRepresentation()
    widget.enter()
    panel = widget.self().panel
    panel.install.isInstalled = True
    panel.ui.inputSelector.setCurrentNode(volume)
    os.chdir(bundle.parent)  # so that the picture contains no folder of this computer
    panel.ui.bundleEdit.currentPath = bundle.name
    panel.apply()
    _wait(slicer.app, lambda: not panel.ui.cancelButton.enabled)
    _wait(slicer.app, lambda: panel.ui.deviceStatus.text != "Looking for graphics cards...")
    panel.ui.nextButton.click()
    if name == CALIBRATED:
        _save_slice(panel, slices, CORONAL, out / "contours.png")
    else:
        _look(panel, slices, solid, out if name == "panel_light" else None)
    _shoot(widget, out / f"{name}.png")
    widget.self().cleanup()


def _look(panel: Any, slices: list[Any], solid: Any, out: Path | None) -> None:
    panel.ui.membersCheck.checked = True
    if out is None:
        return
    _save_slice(panel, slices, AXIAL, out / "outlines.png")
    panel.ui.surfaceCheck.checked = True
    solid.node.SetBoxVisible(False)
    solid.node.SetAxisLabelsVisible(False)
    solid.lookFrom(azimuth=30, elevation=26, zoom=1.0)
    solid.save(out / "surface.png")


def _save_slice(panel: Any, slices: list[Any], view: int, path: Path) -> None:
    """Save the slice of one view through the first place of the list."""
    for each in slices:
        each.fit()
    panel.ui.nextButton.click()
    panel.ui.previousButton.click()
    slices[view].save(path)


def _shoot(widget: Any, path: Path) -> None:
    """Save a picture that is as tall as the panel's content."""
    from PySide6 import QtWidgets

    widget.show()
    widget.resize(WIDTH, 400)
    for _ in range(3):
        QtWidgets.QApplication.processEvents()
    for _ in range(2):  # the height of a wrapped text depends on the width, which follows later
        widget.resize(WIDTH, QtWidgets.QWidget.heightForWidth(widget, WIDTH))
        for _ in range(3):
            QtWidgets.QApplication.processEvents()
    QtWidgets.QWidget.grab(widget).save(str(path))


def _darken(application: Any) -> None:
    from PySide6 import QtGui

    palette = QtGui.QPalette()
    dark, text = QtGui.QColor(45, 45, 48), QtGui.QColor(225, 225, 225)
    for role, color in (
        (QtGui.QPalette.Window, dark),
        (QtGui.QPalette.WindowText, text),
        (QtGui.QPalette.Base, QtGui.QColor(30, 30, 30)),
        (QtGui.QPalette.AlternateBase, dark),
        (QtGui.QPalette.Text, text),
        (QtGui.QPalette.Button, QtGui.QColor(60, 60, 64)),
        (QtGui.QPalette.ButtonText, text),
        (QtGui.QPalette.Link, QtGui.QColor(110, 170, 255)),
        (QtGui.QPalette.Highlight, QtGui.QColor(50, 100, 170)),
        (QtGui.QPalette.HighlightedText, QtGui.QColor(255, 255, 255)),
    ):
        palette.setColor(role, color)
    for role in (QtGui.QPalette.Text, QtGui.QPalette.ButtonText, QtGui.QPalette.WindowText):
        palette.setColor(QtGui.QPalette.Disabled, role, QtGui.QColor(120, 120, 120))
    application.setPalette(palette)


def _wait(app: Any, condition: Any) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the segmentation did not end")
        app.processEvents()
        time.sleep(0.05)


def main() -> int:
    """Draw every picture in its own process; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, required=True, help="the volume to segment")
    parser.add_argument("--bundle", type=Path, required=True, help="what to segment it with")
    parser.add_argument("--calibrated", type=Path, help="the same bundle, calibrated")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument(
        "--look", choices=(*LOOKS, CALIBRATED), help="only this one, in this process"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.look:
        bundle = given.calibrated if given.look == CALIBRATED else given.bundle
        paths = (path.resolve() for path in (given.image, bundle, given.out))
        draw(*paths, given.look, LOOKS.get(given.look, ("1", False))[1])
        return 0
    looks = LOOKS if given.calibrated is None else {**LOOKS, CALIBRATED: ("1", False)}
    for look, (scale, _dark) in looks.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--look", look]
        environment = {**os.environ, "QT_SCALE_FACTOR": scale}
        subprocess.run(command, env=environment, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
