"""The walk from hot spot to hot spot."""

import numpy as np
import pytest
import slicer


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def opened():
    """What the editor was opened with."""
    return []


@pytest.fixture
def review(nodes, opened):
    from FedCrossSlicerLib.scene.review import Review

    return Review(nodes, edit=lambda *where: opened.append(where))


def centre_of_the_block(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return np.array(matrix.MultiplyPoint((13.5, 9.5, 5.5, 1)))[:3]


def marked(nodes):
    point = [0.0] * 3
    nodes.marker.GetNthControlPointPosition(0, point)
    return point


def test_the_hot_spots_are_the_summarys_in_ras(review, volume):
    first, second = review.spots
    assert (first.rank, first.structure, first.volume, first.peak) == (1, "Prostate", 1.5, 0.4)
    np.testing.assert_allclose(first.position, centre_of_the_block(volume), atol=1e-3)
    assert second.label == "2: Prostate"
    assert review.current is None
    assert review.progress == (0, 2)


def test_every_slice_view_goes_to_the_hot_spot(review, nodes):
    for index in (1, 0):
        review.go(index)
        position = review.spots[index].position
        for view in slicer.app.views.values():
            toSlice = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS()))
            x, y, z = (toSlice @ (*position, 1))[:3]
            assert abs(z) < 1e-6
            width, height = view.node.GetFieldOfView()[:2]
            assert abs(x) <= width / 2
            assert abs(y) <= height / 2


def test_what_is_in_view_does_not_slide_and_what_is_not_is_brought_there(review):
    node = slicer.app.views["Red"].node
    x, y, _z = review.spots[0].position
    node.SetFieldOfView(60, 60, 1)
    node.JumpSliceByCentering(x + 20, y - 20, 0)
    before = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:2, 3].copy()
    review.go(0)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:2, 3], before)
    node.SetFieldOfView(20, 20, 1)
    review.go(0)
    middle = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:2, 3]
    np.testing.assert_allclose(middle, (x, y), atol=1e-4)


def test_the_marker_stands_there_locked_and_named(review, nodes):
    review.go(1)
    assert nodes.marker.GetNumberOfControlPoints() == 1
    np.testing.assert_allclose(marked(nodes), review.spots[1].position, atol=1e-6)
    assert nodes.marker.GetNthControlPointLabel(0) == "2: Prostate"
    assert nodes.marker.GetLocked()
    assert nodes.marker.GetDisplayNode().GetVisibility()
    review.go(0)
    assert nodes.marker.GetNumberOfControlPoints() == 1
    assert nodes.marker.GetNthControlPointLabel(0) == "1: Prostate"


def test_next_and_previous_go_round(review):
    seen = []
    for step in (review.next, review.next, review.next, review.previous, review.previous):
        step()
        seen.append(review.current)
    assert seen == [0, 1, 0, 1, 0]


def test_previous_begins_at_the_end(review):
    review.previous()
    assert review.current == 1


def test_what_came_of_a_hot_spot_stands_in_the_table(review, nodes):
    from FedCrossSlicerLib.scene.hotspots import State
    from FedCrossSlicerLib.scene.review import Review

    review.mark(1, State.CORRECTED)
    assert review.progress == (1, 2)
    review.mark(0, State.REVIEWED)
    review.mark(1, State.OPEN)
    assert nodes.hotSpots.GetCellText(0, 8) == "reviewed"
    assert [spot.state for spot in Review(nodes).spots] == [State.REVIEWED, State.OPEN]
    assert review.progress == (1, 2)


def test_a_mark_is_told_to_whoever_watches_the_table(review, nodes):
    from FedCrossSlicerLib.scene.hotspots import State

    heard = []
    nodes.hotSpots.AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    review.mark(0, State.REVIEWED)
    assert heard


def test_an_unknown_state_counts_as_open(review, nodes):
    from FedCrossSlicerLib.scene.hotspots import State

    nodes.hotSpots.SetCellText(0, 8, "erledigt")
    assert review.spots[0].state is State.OPEN
    assert review.progress == (0, 2)


def test_without_hot_spots_nothing_moves(review, nodes):
    table = nodes.hotSpots
    while table.GetNumberOfRows():
        table.RemoveRow(0)
    review.next()
    review.previous()
    assert (review.current, review.progress, review.spots) == (None, (0, 0), [])


def test_edit_here_opens_the_editor_on_the_structure_and_the_volume(review, nodes, opened):
    nodes.segmentation.GetSegmentation().AddEmptySegment("aaa", "Another")
    review.editHere(1)
    assert review.current == 1
    assert opened == [(nodes.segmentation, nodes.volume, "prostate")]


def test_edit_here_takes_the_first_segment_when_the_structure_was_renamed(review, nodes, opened):
    segmentation = nodes.segmentation.GetSegmentation()
    segmentation.GetNthSegment(0).SetName("Drüse")
    review.editHere(0)
    assert opened[-1][2] == "prostate"
    segmentation.RemoveAllSegments()
    review.editHere(0)
    assert opened[-1][2] == ""


def test_a_spot_of_no_structure_is_named_by_its_rank(loaded):
    from FedCrossSlicerLib.scene.hotspots import HotSpot, State

    spot = HotSpot(3, "", 0.1, 0.4, (0.0, 0.0, 0.0), State.OPEN)
    assert spot.label == "3"


def test_slicers_segment_editor_gets_segmentation_volume_and_segment(nodes, segment_editor):
    from FedCrossSlicerLib.scene.review import Review

    Review(nodes).editHere(0)
    assert segment_editor.selectedModule == "SegmentEditor"
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor.segmentationNode() is nodes.segmentation
    assert editor.sourceVolumeNode() is nodes.volume
    assert editor.currentSegmentID() == "prostate"
