"""The label maps of the ensemble of the first members."""

import numpy as np
import SimpleITK as sitk

from fedcross.study.evaluate.first_members import FirstMembers
from fedcross.volumes.prepare import Prepared, prepare
from fedcross.volumes.preprocessing import Preprocessing


def prepared() -> Prepared:
    """A volume of four voxels along z whose own grid is that of the networks."""
    image = sitk.GetImageFromArray(np.arange(4, dtype=np.float32).reshape(4, 1, 1))
    return prepare(image, Preprocessing(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16)))


def show(observer: FirstMembers, index: int, foreground: list[float]) -> None:
    """Show a member's probabilities in two slabs."""
    one = np.array(foreground, np.float32).reshape(4, 1, 1)
    whole = np.stack([1 - one, one])
    for part in (slice(0, 1), slice(1, 4)):
        observer(index, (part, whole[:, part]), prepared())


def test_the_label_maps_are_those_of_the_means() -> None:
    observer = FirstMembers()
    show(observer, 0, [0.9, 0.9, 0.1, 0.1])
    show(observer, 1, [0.3, 0.0, 0.7, 0.0])
    show(observer, 2, [0.0, 0.7, 0.8, 0.0])
    found = [labels[:, 0, 0].tolist() for labels in observer.label_maps]
    # Means of two: 0.6 0.45 0.4 0.05; of three: 0.4 0.53 0.53 0.03.
    assert found == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]]


def test_a_repeated_computation_begins_a_new_ensemble() -> None:
    observer = FirstMembers()
    show(observer, 0, [0.9, 0.9, 0.9, 0.9])
    show(observer, 1, [0.9, 0.9, 0.9, 0.9])
    show(observer, 0, [0.1, 0.1, 0.1, 0.9])
    assert [labels[:, 0, 0].tolist() for labels in observer.label_maps] == [[0, 0, 0, 1]]
