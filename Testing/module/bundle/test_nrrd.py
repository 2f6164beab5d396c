"""The check that a NRRD file is complete."""

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.files import OUTLINES


@pytest.fixture
def require(loaded):
    from FedCrossSlicerLib.bundle.nrrd import requireWhole

    return requireWhole


@pytest.fixture(params=[True, False], ids=["gzip", "raw"])
def path(request, tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((5, 6, 7), np.float32))
    sitk.WriteImage(image, str(tmp_path / "map.nrrd"), request.param)
    return tmp_path / "map.nrrd"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_complete_files_of_every_voxel_type_pass(require, tmp_path, dtype):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), dtype)), str(tmp_path / "a.nrrd"))
    require(tmp_path / "a.nrrd")


def test_compressed_and_raw_files_pass(require, path):
    require(path)


def test_a_file_with_layers_passes_only_if_it_is_complete(require, result_folder):
    """The file of the members' outlines has four dimensions."""
    from FedCrossSlicerLib.errors import InferenceError

    path = result_folder / OUTLINES
    require(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InferenceError, match=r"outlines\.seg\.nrrd is incomplete"):
        require(path)


@pytest.mark.parametrize("missing", [1, 100])
def test_a_truncated_file_is_refused(require, path, missing):
    from FedCrossSlicerLib.errors import InferenceError

    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(InferenceError, match=r"map\.nrrd is incomplete"):
        require(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"NRRD0004\nnot really\n", b"NRRD0004\n\n1234"])
def test_a_file_that_is_not_a_nrrd_is_refused(require, tmp_path, content):
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / "map.nrrd").write_bytes(content)
    with pytest.raises(InferenceError, match="is not a NRRD file"):
        require(tmp_path / "map.nrrd")


def test_a_missing_file_is_refused(require, tmp_path):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="cannot be read: No such file"):
        require(tmp_path / "map.nrrd")
