from dataclasses import replace

import numpy as np
import pytest
import slicer


@pytest.fixture
def info(loaded, bundle_folder):
    from FedCrossSlicerLib.bundle.info import readBundleInfo

    return replace(readBundleInfo(bundle_folder), spacing=(1, 1, 2), patchSize=(64, 64, 16))


def made(spacing, shape=(20, 70, 70), low=0.0, order=(0, 1, 2)):
    """A volume of noise; `order` says along which world axis each stored axis runs."""
    voxels = np.random.default_rng(0).uniform(low, low + 1000, shape).astype(np.float32)
    matrix = np.zeros((4, 4))
    for axis, world in enumerate(order):
        matrix[world, axis] = spacing[axis]
    matrix[3, 3] = 1
    return slicer.util.addVolumeFromArray(voxels, matrix)


def test_a_volume_like_those_of_the_training_is_not_warned_of(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    assert warnings(made((0.9, 1.1, 3.0)), info) == []


def test_the_order_in_which_axes_are_stored_plays_no_part(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    info = replace(info, spacing=(1, 1, 6))
    sagittal = made((1.0, 5.0, 1.0), shape=(70, 20, 70), order=(1, 2, 0))
    assert warnings(sagittal, info) == []
    assert len(warnings(made((1.0, 1.0, 1.0), shape=(120, 70, 70)), info)) == 1


def test_voxels_of_another_size_are_named_with_both_sizes(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (said,) = warnings(made((4.5, 1.0, 2.0)), info)
    assert "4.5 x 1 x 2 mm" in said
    assert "1 x 1 x 2 mm" in said


def test_a_small_field_of_view_and_a_single_slice_are_named(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (said,) = warnings(made((1.0, 1.0, 2.0), shape=(20, 30, 70)), info)
    assert "70 x 30 x 40 mm" in said
    (said,) = warnings(made((1.0, 1.0, 2.0), shape=(1, 70, 70)), info)
    assert "single slice" in said


def test_ct_for_an_mr_bundle_is_named(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (said,) = warnings(made((1.0, 1.0, 2.0), low=-1000), info)
    assert "CT" in said
    assert "MR" in said


def test_what_dicom_says_counts_more_than_intensities(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    volume = made((1.0, 1.0, 2.0), low=-1000)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(
        hierarchy.GetSceneItemID(), volume
    )
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert warnings(volume, info) == []
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert "PT" in warnings(volume, info)[0]


def test_a_constant_volume_and_one_with_nan_are_named(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    constant = made((1.0, 1.0, 2.0))
    slicer.util.arrayFromVolume(constant)[:] = 7
    assert "same value, 7" in warnings(constant, info)[0]
    slicer.util.arrayFromVolume(constant)[0, 0, 0] = np.nan
    assert "not numbers" in warnings(constant, info)[0]
