"""Fixtures: the harness for the session, an empty scene for each test, real and fake child processes."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness import application, module_loader, preflight

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "FedCrossSlicer" / "FedCrossSlicer.py"
FAKE_CHILD = Path(__file__).with_name("fake_child.py")
sys.path.insert(0, str(FAKE_CHILD.parent))  # tests import it to write results


@pytest.fixture(scope="session")
def qapp() -> Any:
    return module_loader.start_qt()


@pytest.fixture(scope="session")
def loaded(qapp: Any) -> module_loader.LoadedModule:
    """The module, loaded as Slicer loads it, with the three slice views of the default layout."""
    from harness.views import SliceView

    app = application.start()
    app.views = {name: SliceView(app, name, (300, 300)) for name in application.SLICE_VIEWS}
    return module_loader.load(MODULE)


@pytest.fixture
def scene(loaded: module_loader.LoadedModule) -> Iterator[Any]:
    import slicer

    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(False)


@pytest.fixture(scope="session")
def can_draw() -> None:
    """For tests that draw; without a graphics driver VTK would crash the test process."""
    if not preflight.can_render():
        pytest.skip(preflight.advice())


@pytest.fixture
def volume(scene: Any) -> Any:
    """An oblique volume with a bright block: voxels of 1 x 2 x 3 mm, rotated by 20 degrees."""
    import slicer

    voxels = np.random.default_rng(3).normal(100, 5, (12, 20, 28)).astype(np.int16)
    voxels[4:8, 6:14, 8:20] = 300
    turn = np.radians(20)
    turned = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    to_ras = np.eye(4)
    to_ras[:3, :3] = turned @ np.diag([-1.0, -2.0, 3.0])
    to_ras[:3, 3] = (15, 10, -20)
    return slicer.util.addVolumeFromArray(voxels, to_ras, "T2 axial")


@pytest.fixture
def transform(scene: Any) -> Any:
    """A rotation by 30 degrees about an oblique axis, and a translation."""
    import slicer
    import vtk

    translation = vtk.vtkTransform()
    translation.Translate(40, -25, 12)
    translation.RotateWXYZ(30, 1, 2, 3)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    node.SetMatrixTransformToParent(translation.GetMatrix())
    return node


@pytest.fixture
def fake(loaded: module_loader.LoadedModule) -> Callable[[str], Any]:
    """Creates a logic whose child process is `fake_child.py` with a given behaviour."""
    from FedCrossSlicerLib.child.command import childEnvironment
    from FedCrossSlicerLib.child.process import InferenceProcess
    from FedCrossSlicerLib.tasks.segmentation import SegmentationLogic

    def make(behaviour: str) -> SegmentationLogic:
        def start(arguments: list[str]) -> InferenceProcess:
            command = [sys.executable, str(FAKE_CHILD), behaviour, *arguments]
            return InferenceProcess(command, childEnvironment())

        return SegmentationLogic(start)

    return make


@pytest.fixture(autouse=True)
def end_workers() -> Iterator[Callable[[], None]]:
    """Ends the idle worker when it is called, and after each test."""

    def end() -> None:
        if "FedCrossSlicerLib.child.pool" in sys.modules:
            sys.modules["FedCrossSlicerLib.child.pool"].WORKERS.end()

    yield end
    end()


@pytest.fixture
def node_ids(scene: Any) -> Callable[[], set[str]]:
    """Returns the IDs of all nodes of the scene."""

    def ids() -> set[str]:
        nodes = scene.GetNodes()
        return {nodes.GetItemAsObject(i).GetID() for i in range(nodes.GetNumberOfItems())}

    return ids


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parent folder of the module's temporary folders; tests check that it is empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def result_folder(volume: Any, tmp_path: Path) -> Path:
    """The result folder that a child process writes for `volume`."""
    from fake_child import write_result

    from FedCrossSlicerLib.tasks.export import exportVolume

    image = tmp_path / "volume.nrrd"
    exportVolume(volume, image)
    write_result(image, tmp_path / "result", "std")
    return tmp_path / "result"


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory):
    """A real bundle with small networks."""
    from fedcross.model.architecture import UNetArchitecture
    from fedcross.model.bundle import write_bundle
    from fedcross.model.networks import build_network

    architecture = UNetArchitecture(base_channels=2, norm="batch")
    manifest = {
        "name": "Prostate <T2>",
        "architecture": architecture.model_dump(),
        "preprocessing": {"spacing_mm": (1, 2, 3), "patch_size": (16, 16, 16), "modality": "MR"},
        "structures": [{"name": "Prostate", "label": 1, "color": (0.2, 0.8, 0.4)}],
        "sites": ["north", "south"],
        "provenance": {"created": "2026-01-31"},
    }
    members = [build_network(architecture).state_dict() for _ in range(2)]
    return write_bundle(tmp_path_factory.mktemp("bundle") / "prostate", manifest, members).path


@pytest.fixture(scope="session")
def two_channel_bundle(tmp_path_factory):
    """A real bundle with small networks whose images are T2 and ADC."""
    from fedcross.model.architecture import UNetArchitecture
    from fedcross.model.bundle import write_bundle
    from fedcross.model.networks import build_network

    architecture = UNetArchitecture(in_channels=2, base_channels=2, norm="batch")
    manifest = {
        "name": "Prostate",
        "architecture": architecture.model_dump(),
        "preprocessing": {
            "spacing_mm": (1, 2, 3),
            "patch_size": (16, 16, 16),
            "channels": [{"name": "T2", "modality": "MR"}, {"name": "ADC <b>", "modality": "MR"}],
        },
        "structures": [{"name": "Prostate", "label": 1, "color": (0.2, 0.8, 0.4)}],
        "provenance": {"created": "2026-01-31"},
    }
    members = [build_network(architecture).state_dict() for _ in range(2)]
    return write_bundle(tmp_path_factory.mktemp("bundle") / "two", manifest, members).path


@pytest.fixture
def diffusion(volume):
    """A second volume over the same place, with larger voxels."""
    import slicer

    voxels = np.random.default_rng(5).normal(900, 50, (20, 30, 30)).astype(np.float32)
    to_ras = np.diag([-2.0, -2.0, 3.0, 1.0])
    to_ras[:3, 3] = (25, 20, -30)
    return slicer.util.addVolumeFromArray(voxels, to_ras, "ADC map")


@pytest.fixture
def segment_editor(loaded: module_loader.LoadedModule, scene: Any, monkeypatch: Any) -> Any:
    """A main window that switches to a stand-in for Segment Editor."""
    import slicer

    from harness.segment_editor import MainWindow, SegmentEditorEntry

    window = MainWindow()
    monkeypatch.setattr(slicer.app, "topLevelWidgets", lambda: [window])
    monkeypatch.setattr(slicer.modules, "segmenteditor", SegmentEditorEntry(), raising=False)
    return window


class QuietProbe:
    """A probe that finds no graphics card and starts no process."""

    def start(self):
        """Do nothing."""

    def cancel(self):
        """Do nothing."""

    def poll(self):
        from fedcross.contract.devices import Devices

        return Devices("2.13.0", (), "No GPU: a test.")


@pytest.fixture
def _no_probe(loaded, monkeypatch):
    monkeypatch.setattr("FedCrossSlicerLib.panel.devices.DeviceProbe", QuietProbe)


@pytest.fixture
def widget(loaded, scene, _no_probe):
    """The module's panel, opened for the test and closed afterwards."""
    representation = loaded.widgetRepresentation()
    representation.resize(460, 1100)
    representation.show()
    representation.self().ui.bundleEdit.currentPath = (
        ""  # a new panel shows the bundle that was used last
    )
    representation.enter()
    yield representation
    representation.self().panel.cancel()
    representation.exit()
    representation.self().ui.bundleEdit.currentPath = ""


@pytest.fixture
def panel(widget, fake, bundle_folder):
    """Prepares the panel: a fake child process, a bundle, and all packages installed."""
    from panel_tools import finished

    panel = widget.self().panel
    original = panel.logic.start, panel.confirm, panel.install.installer

    def prepare(behaviour="good", installed=True):
        panel.logic.start = fake(behaviour).start
        panel.install.installer = SimpleNamespace(ensure=lambda confirm: finished(installed))
        panel.install.isInstalled = False
        panel.ui.deviceCombo.currentIndex = 0
        panel.ui.bundleEdit.currentPath = str(bundle_folder)
        return panel

    yield prepare
    panel.cancel()
    panel.logic.start, panel.confirm, panel.install.installer = original


@pytest.fixture
def segmented(panel, widget, volume):
    """The panel after a segmentation."""
    from panel_tools import segment

    return segment(panel(), volume)


@pytest.fixture
def calibrated(panel, widget, volume):
    """The panel after a segmentation with a calibrated bundle, of an unfamiliar scan."""
    from panel_tools import segment

    return segment(panel("calibrated"), volume)
