"""The review of hot spots."""

import numpy as np
import pytest
import slicer


@pytest.fixture
def nodes(volume, result_folder):
    from FedCrossSlicerLib.tasks.load import loadResult

    return loadResult(result_folder, volume)


@pytest.fixture
def opened():
    """The arguments with which the editor was opened."""
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


def marker_position(nodes):
    point = [0.0] * 3
    nodes.marker.GetNthControlPointPosition(0, point)
    return point


def test_the_hot_spots_of_the_summary_are_converted_to_ras(review, volume):
    first, second = review.spots
    assert (first.rank, first.structure, first.volume, first.peak) == (1, "Prostate", 1.5, 0.4)
    np.testing.assert_allclose(first.position, centre_of_the_block(volume), atol=1e-3)
    assert second.label == "2: Prostate"
    assert review.current is None
    assert review.progress == (0, 2)


def test_every_slice_view_shows_the_hot_spot(review, nodes):
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


def test_a_view_is_centred_only_if_the_hot_spot_is_out_of_sight(review):
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


def test_the_marker_is_at_the_hot_spot_locked_and_labelled(review, nodes):
    review.go(1)
    assert nodes.marker.GetNumberOfControlPoints() == 1
    np.testing.assert_allclose(marker_position(nodes), review.spots[1].position, atol=1e-6)
    assert nodes.marker.GetNthControlPointLabel(0) == "2: Prostate"
    assert nodes.marker.GetLocked()
    assert nodes.marker.GetDisplayNode().GetVisibility()
    review.go(0)
    assert nodes.marker.GetNumberOfControlPoints() == 1
    assert nodes.marker.GetNthControlPointLabel(0) == "1: Prostate"


def test_next_and_previous_continue_at_the_other_end(review):
    indices = []
    for step in (review.next, review.next, review.next, review.previous, review.previous):
        step()
        indices.append(review.current)
    assert indices == [0, 1, 0, 1, 0]


def test_previous_starts_with_the_last_hot_spot(review):
    review.previous()
    assert review.current == 1


def test_the_state_of_a_hot_spot_is_stored_in_the_table(review, nodes):
    from FedCrossSlicerLib.scene.hotspots import State
    from FedCrossSlicerLib.scene.review import Review

    review.mark(1, State.CORRECTED)
    assert review.progress == (1, 2)
    review.mark(0, State.REVIEWED)
    review.mark(1, State.OPEN)
    assert nodes.hotSpots.GetCellText(0, 8) == "reviewed"
    assert [spot.state for spot in Review(nodes).spots] == [State.REVIEWED, State.OPEN]
    assert review.progress == (1, 2)


def test_a_changed_state_notifies_the_observers_of_the_table(review, nodes):
    from FedCrossSlicerLib.scene.hotspots import State

    events = []
    nodes.hotSpots.AddObserver("ModifiedEvent", lambda *_: events.append(1))
    review.mark(0, State.REVIEWED)
    assert events


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


def test_edit_here_selects_the_first_segment_if_the_structure_was_renamed(review, nodes, opened):
    segmentation = nodes.segmentation.GetSegmentation()
    segmentation.GetNthSegment(0).SetName("Drüse")
    review.editHere(0)
    assert opened[-1][2] == "prostate"
    segmentation.RemoveAllSegments()
    review.editHere(0)
    assert opened[-1][2] == ""


def test_a_hot_spot_without_a_structure_is_labelled_by_its_rank(loaded):
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


@pytest.mark.parametrize("hardened", [False, True])
def test_hot_spots_and_marker_follow_a_result_that_is_moved(review, nodes, transform, hardened):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    expected = slicer.util.arrayFromVTKMatrix(matrix) @ (*review.spots[1].position, 1)
    for node in nodes.owned():
        if node.IsA("vtkMRMLTransformableNode"):
            node.SetAndObserveTransformNodeID(transform.GetID())
            if hardened:
                node.HardenTransform()
    review.go(1)
    np.testing.assert_allclose(review.spots[1].position, expected[:3], atol=1e-3)
    point = [0.0] * 3
    nodes.marker.GetNthControlPointPositionWorld(0, point)
    np.testing.assert_allclose(point, expected[:3], atol=1e-3)
    for view in slicer.app.views.values():
        to_slice = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.node.GetSliceToRAS()))
        assert abs((to_slice @ expected)[2]) < 1e-3
