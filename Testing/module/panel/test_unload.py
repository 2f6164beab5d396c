"""What stays after the module was unloaded: nothing."""

import gc
import weakref

import pytest
from PySide6 import QtCore


class HoldingTimer:
    """A QTimer that refers to its slots until they are disconnected, as under PythonQt."""

    def __init__(self, slots):
        self._timer = QtCore.QTimer()
        self._slots = slots

    def connect(self, signal, slot):
        self._slots.append((self, signal, slot))
        self._timer.timeout.connect(slot)

    def disconnect(self, signal, slot):
        self._slots.remove((self, signal, slot))
        self._timer.timeout.disconnect(slot)

    def __getattr__(self, name):
        return getattr(self._timer, name)


@pytest.mark.usefixtures("_no_probe")
def test_no_timer_refers_to_the_panel_after_the_module_was_unloaded(loaded, scene, monkeypatch):
    import qt
    import slicer

    from harness.module_loader import WidgetRepresentation

    kind = type(loaded.widgetRepresentation().self())
    slots = []
    monkeypatch.setattr(qt, "QTimer", lambda: HoldingTimer(slots))
    representation = WidgetRepresentation()
    representation.setup(kind)
    module = representation.self()
    representation.enter()
    node = scene.AddNewNodeByClass("vtkMRMLModelNode")
    scene.RemoveNode(node)  # starts the timer that removes orphans
    representation.resize(400, 800)
    representation.show()
    slicer.app.processEvents()
    module.panel.help.open("The volume")
    assert slots
    representation.exit()
    module.cleanup()
    assert slots == []
    assert module.panel.help.window is None
    panel = weakref.ref(module.panel)
    representation.close()
    representation._panel = None
    del module, representation
    gc.collect()
    assert panel() is None
