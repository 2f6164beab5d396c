"""Apply, progress, Cancel, log and the section Dependencies, used with the mouse."""

import sys
import time
from types import SimpleNamespace

import pytest
import slicer
from panel_tools import click, until
from PySide6 import QtWidgets


def test_progress_stage_and_log_are_shown_and_the_panel_stays_responsive(panel, widget, volume):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    assert not ui.applyButton.enabled
    assert ui.cancelButton.enabled
    assert ui.progressBar.visible
    until(lambda: ui.statusLabel.text.isdigit())  # the slow child's last message is a number
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None


def test_the_remaining_time_is_shown_once_it_is_known(widget):
    from FedCrossSlicerLib.panel.run import durationText

    run = widget.self().panel.run
    task = SimpleNamespace(done=30, total=120, message="Segmenting", log="", remainingSeconds=95.0)
    run.showTask(task)
    ui = widget.self().ui
    assert ui.statusLabel.text == "Segmenting: patch 30 of 120, 2 min left"
    assert (ui.progressBar.value, ui.progressBar.maximum) == (30, 120)
    assert [durationText(s) for s in (0.2, 59.4, 60, 61)] == ["1 s", "59 s", "1 min", "2 min"]


def test_the_log_is_shown_and_can_be_copied(panel, widget, volume):
    ui = panel("crash").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert "No module named 'torch'" in ui.logText.plainText
    assert "Traceback" not in ui.statusLabel.text
    ui.logSection.collapsed = False
    click(ui.copyLogButton)
    assert QtWidgets.QApplication.clipboard().text() == ui.logText.plainText


def test_an_error_is_shown_in_one_sentence_and_apply_is_enabled_again(panel, widget, volume):
    ui = panel("sorry").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text == "There is no bundle. Choose one."


@pytest.mark.parametrize("agreed", [True, False])
def test_a_gpu_that_is_too_small_offers_the_cpu(panel, widget, volume, agreed):
    ready = panel("small-gpu")
    questions = []
    ready.confirm = lambda question: questions.append(question) or agreed
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.applyButton.enabled)
    assert len(questions) == 1
    assert "CPU" in questions[0]
    done = ready.ui.resultSelector.currentNode() is not None
    assert done == agreed
    assert (ready.input.device == "cpu") == agreed


def test_the_cpu_is_used_even_if_another_module_is_open(panel, widget, volume):
    ready = panel("small-gpu")
    ready.confirm = lambda question: True
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    widget.exit()
    until(lambda: ready.ui.statusLabel.text == "Done: T2 axial segmentation.")


def test_without_consent_to_the_installation_nothing_starts(panel, widget, volume):
    ui = panel(installed=False).ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    assert ui.statusLabel.text == "Nothing was installed, so nothing can be segmented."
    assert ui.applyButton.enabled


def test_after_the_first_installation_the_graphics_cards_are_searched_again(
    panel, widget, volume, monkeypatch
):
    from fedcross.contract.devices import Devices, Gpu

    ready = panel()
    found = [Devices(None, (), "PyTorch is not installed.")]

    class Probe:
        start = cancel = lambda self: None

        def poll(self):
            return found[-1]

    monkeypatch.setattr("FedCrossSlicerLib.panel.devices.DeviceProbe", Probe)
    ready.devices.restart()
    until(lambda: "not installed" in ready.ui.deviceStatus.text, 5)

    def install(confirm):
        yield from ()
        found.append(Devices("2.13.0", (Gpu("cuda:0", "Big Card", 24.0),), "GPU ready."))
        return True

    ready.install.installer = SimpleNamespace(ensure=install)
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: ready.ui.deviceStatus.text == "GPU ready.", 5)
    assert "Big Card (cuda:0)" in ready.ui.deviceCombo.itemText(2)
    until(lambda: ready.ui.applyButton.enabled)


def test_a_failed_installation_shows_one_sentence(panel, widget, volume):
    from FedCrossSlicerLib.errors import InstallError

    def fail(confirm):
        yield from ()
        raise InstallError("PyTorch could not be installed. See the log.")

    prepared = panel()
    prepared.install.installer = SimpleNamespace(ensure=fail)
    prepared.ui.inputSelector.setCurrentNode(volume)
    click(prepared.ui.applyButton)
    assert prepared.ui.statusLabel.text == "PyTorch could not be installed. See the log."


def test_closing_the_scene_cancels_and_empties_the_panel(panel, widget, volume, scene, temporary):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())
    scene.Clear(False)
    assert ui.inputSelector.currentNode() is None
    assert not ui.cancelButton.enabled
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("state", ["ImportState", "SaveState", "BatchProcessState"])
def test_a_result_waits_until_slicer_has_opened_or_saved_the_scene(
    panel, widget, volume, scene, state
):
    ready = panel()
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    task = ready._task
    scene.StartState(getattr(scene, state))
    until(lambda: not task.running)
    for _ in range(3):
        ready._poll()
    assert scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
    scene.EndState(getattr(scene, state))
    until(lambda: ready.ui.applyButton.enabled)
    assert ready.ui.statusLabel.text == "Done: T2 axial segmentation."


def test_the_panel_checks_and_installs_the_packages(widget, monkeypatch, tmp_path):
    import qt

    from FedCrossSlicerLib.errors import InstallError

    panel, calls = widget.self().panel, []

    def ensure(confirm, wheels=None, offerOpenVINO=False, also=()):
        yield from ()
        calls.append((wheels, [each.name for each in also]))
        if wheels is not None:
            raise InstallError("The folder has no torch.")
        return True

    def check():
        yield from ()
        return "torch 2.13.0"

    installer = SimpleNamespace(checkInstallation=check, ensure=ensure)
    monkeypatch.setattr(panel.install, "installer", installer)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ui = panel.ui
    ui.installSection.collapsed = False
    click(ui.checkButton)
    assert ui.installLabel.text == "torch 2.13.0"
    before = panel.devices._probe
    click(ui.installButton)
    assert ui.installLabel.text == "Everything is installed."
    assert panel.devices._probe is not before  # new packages may support other graphics cards
    click(ui.wheelsButton)
    assert ui.installLabel.text == "The folder has no torch."
    (tmp_path / "highdicom-0.28.2-py3-none-any.whl").touch()  # the folder has the optional package
    click(ui.wheelsButton)
    assert calls == [(None, []), (tmp_path, []), (tmp_path, ["highdicom"])]
    ui.installSection.collapsed = True


@pytest.fixture
def slow_check(widget, monkeypatch):
    """A check of the packages whose command runs for a minute."""
    install = widget.self().panel.install

    def wait():
        lines = yield [sys.executable, "-c", "import time; time.sleep(60); print(7)"]
        return lines[-1]

    installer = SimpleNamespace(checkInstallation=wait, ensure=lambda confirm: wait())
    monkeypatch.setattr(install, "installer", installer)
    monkeypatch.setattr(install, "isInstalled", False)
    yield install
    install.jobs.cancel()


def test_a_check_does_not_block_and_can_be_cancelled(slow_check, widget):
    ui = widget.self().panel.ui
    ui.installSection.collapsed = False
    began = time.monotonic()
    click(ui.checkButton)
    assert time.monotonic() - began < 5
    assert slow_check.jobs.running
    assert ui.installLabel.text == "Please wait..."
    assert not any(b.enabled for b in (ui.checkButton, ui.installButton, ui.wheelsButton))
    assert not ui.applyButton.enabled
    click(ui.cancelButton)
    assert ui.installLabel.text == "Cancelled."
    assert all(b.enabled for b in (ui.checkButton, ui.installButton, ui.wheelsButton))
    ui.installSection.collapsed = True


def test_looking_for_the_packages_before_a_segmentation_does_not_block(
    slow_check, volume, bundle_folder
):
    ui = slow_check.ui
    ui.bundleEdit.currentPath = str(bundle_folder)
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    assert ui.statusLabel.text == "Looking for the Python packages"
    assert ui.progressBar.visible
    assert not ui.applyButton.enabled
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert not ui.progressBar.visible


def test_a_volume_removed_while_the_packages_are_looked_for_shows_one_sentence(
    panel, widget, volume, scene
):
    def find(confirm):
        yield [sys.executable, "-c", "pass"]
        scene.RemoveNode(volume)
        return True

    ready = panel()
    ready.install.installer = SimpleNamespace(ensure=find)
    ready.ui.inputSelector.setCurrentNode(volume)
    click(ready.ui.applyButton)
    until(lambda: not ready.install.jobs.running, 20)
    assert ready.ui.statusLabel.text == "Choose a volume first."


def test_a_reload_by_a_developer_reloads_library_and_package_too(widget, monkeypatch):
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "modules", modules)
    reloaded = {"FedCrossSlicerLib.panel.panel", "fedcross", "fedcross.contract.files"}
    assert reloaded <= set(modules)
    found = []
    base = type(widget.self()).__mro__[1]
    monkeypatch.setattr(base, "onReload", lambda self: found.append(reloaded & set(modules)), False)
    widget.self().onReload()
    assert found == [set()]


def test_the_module_cleans_up_when_it_is_unloaded(loaded, panel, widget, volume, temporary):
    ui = panel("slow").ui
    ui.inputSelector.setCurrentNode(volume)
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.isdigit())
    widget.self().cleanup()
    assert list(temporary.iterdir()) == []
    loaded._representation = None
