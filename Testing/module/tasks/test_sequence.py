"""Segmenting every time point of a sequence in Slicer's sequence browser."""

import numpy as np
import pytest
import slicer
from panel_tools import click, until


@pytest.fixture
def browser(volume):
    """A browser over three time points of `volume`, in which the bright block moves along z."""
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beating")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    block = slicer.util.arrayFromVolume(volume).copy()
    for time in range(3):
        slicer.util.updateVolumeFromArray(volume, np.roll(block, time, axis=0))
        sequence.SetDataNodeAtValue(volume, f"{0.1 * time:.1f}")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Heart")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return browser


def centre(segmentation):
    """S coordinate of a segmentation's centre in mm."""
    bounds = [0.0] * 6
    segmentation.GetRASBounds(bounds)
    return (bounds[4] + bounds[5]) / 2


def test_only_the_proxy_volume_of_a_browser_has_time_points(browser, volume):
    from FedCrossSlicerLib.scene.sequences import timePoints

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    assert timePoints(proxy) == (browser, 3)
    assert timePoints(volume) is None


def test_every_time_point_displays_its_own_result(browser, fake):
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    browser.SetSelectedItemNumber(1)
    progress_calls = []
    nodes = segmentSequence(
        fake("good"), proxy, "bundle", progress=lambda *at: progress_calls.append(at)
    )
    assert browser.GetSelectedItemNumber() == 1
    assert [at[:2] for at in progress_calls] == [(0, 3), (1, 3), (2, 3)]
    assert browser.GetNumberOfSynchronizedSequenceNodes(True) == 1 + 10
    centres = []
    for item in range(3):
        browser.SetSelectedItemNumber(item)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        centres.append(centre(nodes.segmentation))
    assert np.diff(centres) == pytest.approx([3, 3], abs=0.1)  # a voxel each


def test_every_time_point_has_its_own_warning_and_contours(browser, fake, widget):
    from FedCrossSlicerLib.scene.figures import readFamiliarity, readFigures
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    nodes = segmentSequence(fake("calibrated"), proxy, "bundle")
    panel = widget.self().panel
    panel.logic.getParameterNode().result = nodes.segmentation
    warnings, centres = [], []
    for item in range(3):
        browser.SetSelectedItemNumber(item)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        assert readFigures(nodes.figures)[0].interval.low == 27.9
        warnings.append(readFamiliarity(nodes.figures).isUnusual)
        assert panel.ui.unfamiliarFrame.visible == warnings[-1]
        centres.append(centre(nodes.contours))
    assert warnings == [True, False, False]
    assert np.diff(centres) == pytest.approx([3, 3], abs=0.1)  # a voxel each


def test_a_failed_time_point_leaves_scene_and_browser_as_they_were(
    browser, fake, node_ids, temporary
):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    segmentSequence(fake("good"), proxy, "bundle")
    browser.SetSelectedItemNumber(2)
    before = node_ids()
    with pytest.raises(InferenceError, match="no bundle"):
        segmentSequence(FailsAt(fake("good"), fake("sorry"), 2), proxy, "bundle")
    assert browser.GetSelectedItemNumber() == 2
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_the_region_inside_follows_the_structures_of_each_time_point(browser, fake, widget):
    from FedCrossSlicerLib.panel.parameters import Region
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    nodes = segmentSequence(fake("good"), proxy, "bundle")
    parameters = widget.self().logic.getParameterNode()
    parameters.result = nodes.segmentation
    parameters.region = Region.INSIDE
    for item in (0, 1, 2):
        browser.SetSelectedItemNumber(item)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        shown = np.unique(np.nonzero(slicer.util.arrayFromVolume(nodes.heat))[0])
        labels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", proxy)
        assert shown.tolist() == np.unique(np.nonzero(labels)[0]).tolist()


def results(browser):
    """The results in the scene; each must be displayed by a sequence of the browser."""
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    sequences = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if node.GetAttribute("FedCross.Role") == "segmentation"
    ]
    shown = {browser.GetProxyNode(sequence) for sequence in sequences}
    assert shown == {nodes.segmentation for nodes in ResultNodes.all(slicer.mrmlScene)}
    return shown


def test_a_second_run_replaces_the_first(browser, fake):
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    segmentSequence(fake("good"), proxy, "bundle")
    latest = segmentSequence(fake("good"), proxy, "bundle")
    assert results(browser) == {latest.segmentation}
    assert browser.GetNumberOfSynchronizedSequenceNodes(True) == 1 + 10


def test_a_result_with_an_edited_time_point_is_not_replaced(browser, fake):
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    nodes = segmentSequence(fake("good"), proxy, "bundle")
    labels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", proxy)
    labels[0, 0, 0] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, nodes.segmentation, "prostate", proxy)
    latest = segmentSequence(fake("good"), proxy, "bundle")
    assert results(browser) == {nodes.segmentation, latest.segmentation}
    edited = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", proxy)
    assert edited[0, 0, 0] == 1


def test_the_panel_segments_a_sequence_and_stays_responsive(browser, panel, widget):
    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    ui = panel().ui
    ui.inputSelector.setCurrentNode(proxy)
    ui.sequenceCheck.checked = True
    browser.SetSelectedItemNumber(2)
    click(ui.applyButton)
    assert browser.GetSelectedItemNumber() == 2
    assert not ui.applyButton.enabled
    assert ui.cancelButton.enabled
    until(lambda: "Time point 2 of 3" in ui.statusLabel.text)
    until(lambda: ui.applyButton.enabled)
    assert ui.statusLabel.text.startswith("Done: ")
    assert results(browser) == {ui.resultSelector.currentNode()}
    assert browser.GetSelectedItemNumber() == 2


def test_a_cancelled_sequence_leaves_nothing(browser, panel, widget, fake, node_ids, temporary):
    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    ready = panel()
    ready.logic.start = FailsAt(fake("good"), fake("slow"), 2).start
    ui = ready.ui
    ui.inputSelector.setCurrentNode(proxy)
    ui.sequenceCheck.checked = True
    before = node_ids()
    click(ui.applyButton)
    until(lambda: ui.statusLabel.text.startswith("Time point 2 of 3: "))
    click(ui.cancelButton)
    assert ui.statusLabel.text == "Cancelled."
    assert ui.applyButton.enabled
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_a_sequence_changed_during_the_segmentation_raises_one_sentence(browser, fake, temporary):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    sequence = browser.GetMasterSequenceNode()

    def shorten(done, *_):
        if done == 1:
            sequence.RemoveDataNodeAtValue("0.2")

    with pytest.raises(InferenceError, match="sequence was changed"):
        segmentSequence(fake("good"), proxy, "bundle", progress=shorten)
    assert list(temporary.iterdir()) == []


def test_box_and_further_channels_reach_every_time_point(browser, scene, diffusion):
    from FedCrossSlicerLib.tasks.sequence import segmentSequence

    class RecordingLogic:
        """A logic that records its arguments and then fails."""

        def start(self, *arguments):
            self.arguments = arguments
            raise ZeroDivisionError

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Box")
    recorder = RecordingLogic()
    with pytest.raises(ZeroDivisionError):
        segmentSequence(recorder, proxy, "bundle", roi=roi, further=[diffusion])
    assert recorder.arguments == (proxy, "bundle", None, roi, [diffusion])


def select(browser, item):
    browser.SetSelectedItemNumber(item)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def test_results_of_two_time_points_stay_and_say_which_time_point_they_are_of(
    browser, panel, widget
):
    from FedCrossSlicerLib.scene.nodes import ResultNodes

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    ui = panel().ui
    ui.inputSelector.setCurrentNode(proxy)
    for item in (0, 2, 2):  # the last run replaces the second one
        select(browser, item)
        click(ui.applyButton)
        until(lambda: ui.applyButton.enabled)
    names = [nodes.name for nodes in ResultNodes.all(slicer.mrmlScene)]
    assert names == ["Beating 0.0 s segmentation", "Beating 0.2 s segmentation"]
    assert "the volume shows" not in ui.detailsLabel.text
    select(browser, 1)
    assert ui.detailsLabel.text.endswith("the result of 0.2 s; the volume shows 0.1 s.")


def test_scene_views_of_slicer_are_no_time_points(scene, volume):
    import vtk

    from FedCrossSlicerLib.scene.sequences import timePoints

    logic = slicer.vtkSlicerSceneViewsModuleLogic()
    logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
    logic.SetMRMLScene(scene)
    picture, stored = vtk.vtkImageData(), vtk.vtkCollection()
    picture.SetDimensions(4, 4, 1)
    picture.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    stored.AddItem(volume)
    logic.CreateSceneView(stored, "Before surgery", "", 0, picture)
    views = scene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode")
    assert views.IsProxyNode(volume.GetID())
    assert timePoints(volume) is None


class FailsAt:
    """A logic whose nth child process fails."""

    def __init__(self, logic, other, number):
        self._logic, self._other, self._number, self._calls = logic, other, number, 0

    def start(self, *arguments):
        self._calls += 1
        return (self._other if self._calls == self._number else self._logic).start(*arguments)
