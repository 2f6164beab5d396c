"""Time points of a sequence, in Slicer's own sequence browser."""

import numpy as np
import pytest
import slicer


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
    """z of a segmentation's middle, RAS."""
    bounds = [0.0] * 6
    segmentation.GetRASBounds(bounds)
    return (bounds[4] + bounds[5]) / 2


def test_only_a_browsers_volume_has_time_points(browser, volume):
    from FedCrossSlicerLib.sequences import timePoints

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    assert timePoints(proxy) == (browser, 3)
    assert timePoints(volume) is None


def test_every_time_point_gets_its_own_result_and_scrolling_shows_it(browser, fake):
    from FedCrossSlicerLib.sequences import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    browser.SetSelectedItemNumber(1)
    seen = []
    nodes = segmentSequence(fake("good"), proxy, "bundle", progress=lambda *at: seen.append(at))
    assert browser.GetSelectedItemNumber() == 1
    assert [at[:2] for at in seen] == [(0, 3), (1, 3), (2, 3)]
    assert browser.GetNumberOfSynchronizedSequenceNodes(True) == 1 + 10
    centres = []
    for item in range(3):
        browser.SetSelectedItemNumber(item)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        centres.append(centre(nodes.segmentation))
    assert np.diff(centres) == pytest.approx([3, 3], abs=0.1)  # a voxel each


def test_a_failure_in_the_middle_leaves_scene_and_browser_as_they_were(
    browser, fake, node_ids, temporary
):
    from FedCrossSlicerLib.errors import InferenceError
    from FedCrossSlicerLib.sequences import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    segmentSequence(fake("good"), proxy, "bundle")
    browser.SetSelectedItemNumber(2)
    before = node_ids()
    with pytest.raises(InferenceError, match="no bundle"):
        segmentSequence(FailsAt(fake("good"), fake("sorry"), 2), proxy, "bundle")
    assert browser.GetSelectedItemNumber() == 2
    assert node_ids() == before
    assert list(temporary.iterdir()) == []


def test_inside_shows_each_time_points_own_inside(browser, fake, widget):
    from FedCrossSlicerLib.parameters import Region
    from FedCrossSlicerLib.sequences import segmentSequence

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
    """The results in the scene, which must be those that the browser's sequences show."""
    from FedCrossSlicerLib.resultnodes import ResultNodes

    sequences = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLSequenceNode")
        if node.GetAttribute("FedCross.Role") == "segmentation"
    ]
    shown = {browser.GetProxyNode(sequence) for sequence in sequences}
    assert shown == {nodes.segmentation for nodes in ResultNodes.all(slicer.mrmlScene)}
    return shown


def test_a_second_run_takes_the_place_of_the_first(browser, fake):
    from FedCrossSlicerLib.sequences import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    segmentSequence(fake("good"), proxy, "bundle")
    latest = segmentSequence(fake("good"), proxy, "bundle")
    assert results(browser) == {latest.segmentation}
    assert browser.GetNumberOfSynchronizedSequenceNodes(True) == 1 + 10


def test_an_edited_time_point_keeps_its_result_beside_a_new_one(browser, fake):
    from FedCrossSlicerLib.sequences import segmentSequence

    proxy = browser.GetProxyNode(browser.GetMasterSequenceNode())
    nodes = segmentSequence(fake("good"), proxy, "bundle")
    labels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", proxy)
    labels[0, 0, 0] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, nodes.segmentation, "prostate", proxy)
    latest = segmentSequence(fake("good"), proxy, "bundle")
    assert results(browser) == {nodes.segmentation, latest.segmentation}
    edited = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, "prostate", proxy)
    assert edited[0, 0, 0] == 1


class FailsAt:
    """A logic whose nth child fails."""

    def __init__(self, logic, other, number):
        self._logic, self._other, self._number, self._calls = logic, other, number, 0

    def start(self, *given):
        self._calls += 1
        return (self._other if self._calls == self._number else self._logic).start(*given)
