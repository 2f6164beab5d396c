"""The reasons why a volume does not fit a bundle."""

from dataclasses import replace

import numpy as np
import pytest
import slicer


@pytest.fixture
def info(loaded, bundle_folder):
    from FedCrossSlicerLib.bundle.info import readBundleInfo

    return replace(readBundleInfo(bundle_folder), spacing=(1, 1, 2), patchSize=(64, 64, 16))


def new_volume(spacing, shape=(20, 70, 70), low=0.0, order=(0, 1, 2)):
    """A volume of noise; `order` is the world axis of each stored axis."""
    voxels = np.random.default_rng(0).uniform(low, low + 1000, shape).astype(np.float32)
    matrix = np.zeros((4, 4))
    for axis, world in enumerate(order):
        matrix[world, axis] = spacing[axis]
    matrix[3, 3] = 1
    return slicer.util.addVolumeFromArray(voxels, matrix)


def test_a_volume_like_the_training_volumes_gives_no_warning(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    assert warnings(new_volume((0.9, 1.1, 3.0)), info) == []


def test_the_order_of_the_stored_axes_does_not_change_the_warnings(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    info = replace(info, spacing=(1, 1, 6))
    sagittal = new_volume((1.0, 5.0, 1.0), shape=(70, 20, 70), order=(1, 2, 0))
    assert warnings(sagittal, info) == []
    assert len(warnings(new_volume((1.0, 1.0, 1.0), shape=(120, 70, 70)), info)) == 1


def test_a_different_voxel_size_gives_a_warning_with_both_sizes(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (warning,) = warnings(new_volume((4.5, 1.0, 2.0)), info)
    assert "4.5 x 1 x 2 mm" in warning
    assert "1 x 1 x 2 mm" in warning


def test_a_small_field_of_view_and_a_single_slice_give_a_warning(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (warning,) = warnings(new_volume((1.0, 1.0, 2.0), shape=(20, 30, 70)), info)
    assert "70 x 30 x 40 mm" in warning
    (warning,) = warnings(new_volume((1.0, 1.0, 2.0), shape=(1, 70, 70)), info)
    assert "single slice" in warning


def test_a_ct_volume_for_an_mr_bundle_gives_a_warning(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    (warning,) = warnings(new_volume((1.0, 1.0, 2.0), low=-1000), info)
    assert "CT" in warning
    assert "MR" in warning


def test_the_dicom_modality_overrides_the_intensities(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    volume = new_volume((1.0, 1.0, 2.0), low=-1000)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume) or hierarchy.CreateItem(
        hierarchy.GetSceneItemID(), volume
    )
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    assert warnings(volume, info) == []
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert "PT" in warnings(volume, info)[0]


def test_a_constant_volume_and_one_with_nan_give_a_warning(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    constant = new_volume((1.0, 1.0, 2.0))
    slicer.util.arrayFromVolume(constant)[:] = 7
    assert "same value, 7" in warnings(constant, info)[0]
    slicer.util.arrayFromVolume(constant)[0, 0, 0] = np.nan
    assert "not numbers" in warnings(constant, info)[0]


@pytest.fixture
def two(loaded, two_channel_bundle):
    from FedCrossSlicerLib.bundle.info import readBundleInfo

    return replace(readBundleInfo(two_channel_bundle), spacing=(1, 1, 2), patchSize=(64, 64, 16))


def test_the_warnings_of_several_channels_name_the_channel(scene, two):
    from FedCrossSlicerLib.bundle.fit import channelWarnings

    first, second = new_volume((0.9, 1.1, 3.0)), new_volume((9.0, 9.0, 9.0))
    assert channelWarnings([first, second], two) == []  # the second is resampled onto the first
    assert channelWarnings([first, None], two) == []
    slicer.util.arrayFromVolume(second)[:] = 7
    assert channelWarnings([first, second], two) == ["ADC <b>: All voxels have the same value, 7."]
    (warning,) = channelWarnings([new_volume((9.0, 9.0, 9.0)), first], two)
    assert warning.startswith("T2: The voxels measure 9 x 9 x 9 mm")


def test_one_volume_for_two_channels_gives_a_warning(scene, two):
    from FedCrossSlicerLib.bundle.fit import channelWarnings

    volume = new_volume((0.9, 1.1, 3.0))
    assert channelWarnings([volume, volume], two) == ["T2 and ADC <b> are the same volume."]


def test_padding_far_below_the_other_values_gives_a_warning_unless_it_is_clipped(scene, info):
    from FedCrossSlicerLib.bundle.fit import warnings

    padded = new_volume((1.0, 1.0, 2.0))
    slicer.util.arrayFromVolume(padded)[:, :20] = -2000
    assert warnings(padded, info)[0].startswith("The lowest value, -2000, is far from all others")
    assert warnings(padded, replace(info, intensity="ct")) == []
