"""Computing slab by slab, or in a file, gives the same bits as computing in memory."""

import errno
import io
import tempfile
from itertools import pairwise

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.contract.request import SegmentRequest
from fedcross.ensemble import slab_statistics
from fedcross.ensemble.label_map import label_map, label_map_of_slabs
from fedcross.ensemble.member_labels import MemberLabels
from fedcross.ensemble.slab_statistics import SlabStatistics
from fedcross.errors import OutputError
from fedcross.infer.scratch import Scratch, write_errors
from fedcross.infer.segment import segment
from fedcross.runtime.reporting import NullReporter
from fedcross.uncertainty.measures import MEASURES
from fedcross.uncertainty.statistics import EnsembleStatistics
from fedcross.volumes.grid import Grid, restore_order
from fedcross.volumes.prepare import prepare, resample_map_to_source, resample_to_source
from fedcross.volumes.preprocessing import Preprocessing

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
PERMUTED = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def cut(array, ends):
    """Slabs (slice, (C, dz, H, W)) of an array (C, D, H, W), cut at `ends`."""
    bounds = sorted({0, array.shape[1], *(end for end in ends if end < array.shape[1])})
    return [(slice(low, high), array[:, low:high]) for low, high in pairwise(bounds)]


def prepared_on(direction, shape, spacing):
    image = sitk.GetImageFromArray(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    image.SetSpacing((0.9, 1.2, 2.5))
    image.SetDirection(direction)
    return prepare(image, Preprocessing(spacing_mm=spacing, patch_size=(16, 16, 16)))


def interpolated(array, shape, scale):
    """Linear interpolation in memory: axis after axis, those that shrink first."""
    for axis in sorted(range(3), key=lambda axis: shape[axis] / array.shape[axis]):
        if shape[axis] == array.shape[axis] and scale[axis] == 1:
            continue
        last, count = array.shape[axis] - 1, shape[axis]
        at = ((np.arange(count) - (count - 1) / 2) * scale[axis] + last / 2).clip(0, last)
        below = np.floor(at).astype(int)
        weight = (at - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        low, high = array.take(below, axis), array.take(np.minimum(below + 1, last), axis)
        array = low + (high - low) * weight
    return array


@pytest.mark.parametrize("direction", [OBLIQUE, PERMUTED, FLIPPED])
@pytest.mark.parametrize("shape", [(9, 12, 7), (1, 8, 6), (8, 6, 1), (5, 1, 7)])
@pytest.mark.parametrize("spacing", [(0.5, 0.7, 0.6), (2.1, 3.0, 1.9), (0.9, 1.2, 2.5)])
@pytest.mark.parametrize("ends", [(), (1, 2, 3, 5, 8), (4,), tuple(range(99))])
def test_interpolated_maps_do_not_depend_on_the_slabs(direction, shape, spacing, ends):
    prepared = prepared_on(direction, shape, spacing)
    values = np.random.default_rng(0).random((1, *prepared.grid.shape), dtype=np.float32)
    found = resample_map_to_source(iter(cut(values, ends)), prepared)
    scale = [
        new / old
        for old, new in zip(
            prepared.grid.spacing_mm[::-1], prepared.oriented.spacing_mm[::-1], strict=True
        )
    ]
    expected = interpolated(values[0], prepared.oriented.shape, scale)
    expected = restore_order(expected, prepared.oriented, prepared.source)
    assert found.shape == shape
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(resample_to_source(values[0], prepared), expected)


@pytest.mark.parametrize("direction", [OBLIQUE, PERMUTED, FLIPPED])
def test_label_maps_do_not_depend_on_the_slabs(direction):
    prepared = prepared_on(direction, (9, 12, 7), (0.7, 1.1, 3.1))
    raw = np.random.default_rng(1).random((3, *prepared.grid.shape), dtype=np.float32)
    inside = np.random.default_rng(2).random((9, 12, 7)) < 0.7
    whole = [resample_to_source(one, prepared) for one in raw]
    expected = np.where(inside, np.argmax(whole, axis=0), 0)
    assert len(np.unique(expected)) == 3
    np.testing.assert_array_equal(label_map(raw, prepared, inside), expected)
    slabs = iter(cut(raw, (1, 2, 6)))
    np.testing.assert_array_equal(label_map_of_slabs(slabs, prepared, inside), expected)


def test_all_slabs_are_read_even_if_the_last_ones_are_not_needed():
    """A coarse grid's outermost voxel centre may lie far inside a fine one."""
    prepared = prepared_on(FLIPPED, (4, 6, 6), (0.9, 1.2, 0.25))
    values = np.random.default_rng(0).random((1, *prepared.grid.shape), dtype=np.float32)
    read = []

    def slabs():
        for part, slab in cut(values, range(99)):
            read.append(part.start)
            yield part, slab

    resample_map_to_source(slabs(), prepared)
    assert read == list(range(prepared.grid.shape[0]))


@settings(max_examples=25, deadline=None)
@given(
    depth=st.integers(1, 7),
    ends=st.lists(st.integers(1, 6)),
    members=st.integers(1, 4),
    measures=st.sets(st.sampled_from(MEASURES), min_size=1),
)
def test_statistics_in_slabs_in_memory_or_a_file_have_the_same_bits(depth, ends, members, measures):
    shape = (3, depth, 2, 5)
    raw = np.random.default_rng(0).dirichlet(np.ones(3), (members, *shape[1:]))
    each = np.moveaxis(raw, -1, 1).astype(np.float32)
    whole = EnsembleStatistics(shape, measures)
    with tempfile.TemporaryFile() as file:
        kinds = [SlabStatistics(shape, measures), SlabStatistics(shape, measures, file)]
        for member in each:
            whole.update(member)
            for statistics in kinds:
                for part, slab in cut(member, ends):
                    statistics.update(part, slab)
        for statistics in kinds:
            mean = np.concatenate([values for _, values in statistics.mean()], axis=1)
            np.testing.assert_array_equal(mean, whole.mean)
            for measure in measures:
                slabs = list(statistics.measure(measure))
                assert [part.start for part, _ in slabs] == [
                    part.start for part, _ in cut(mean, ends)
                ]
                found = np.concatenate([values for _, values in slabs], axis=1)
                np.testing.assert_array_equal(found, whole.measure(measure)[None])
        assert SlabStatistics.nbytes(shape, measures) == whole.nbytes == file.seek(0, 2)


def test_slabs_with_other_slices_are_refused():
    statistics = SlabStatistics((2, 4, 1, 1), ("std",))
    half = np.full((2, 2, 1, 1), 0.5, np.float32)
    statistics.update(slice(0, 2), half)
    with pytest.raises(ValueError, match="slices 0 to 2, got 1"):
        statistics.update(slice(0, 1), half[:, :1])


def test_saved_statistics_that_are_cut_short_are_refused():
    statistics = EnsembleStatistics((2, 4), ("std",))
    with pytest.raises(ValueError, match="cut short"):
        statistics.load(io.BytesIO(b"1234"), 1)


@pytest.mark.usefixtures("asymmetric_members")
def test_a_large_volume_gives_the_same_files_from_the_disk(
    bundle, image_path, tmp_path, monkeypatch
):
    def run(name):
        options = {"for_viewer": True, "save_members": True, "save_probabilities": True}
        request = SegmentRequest(bundle.path, image_path, tmp_path / name, device="cpu", **options)
        segment(request, NullReporter())
        files = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert files.pop("summary.json")
        return files

    in_memory = run("in_memory")
    monkeypatch.setattr(slab_statistics, "MAX_BYTES_IN_MEMORY", 0)
    assert run("on_disk") == in_memory
    assert len(in_memory) == 1 + 4 + 2 + 2 + 3


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("limit", [0, 2**30])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    bundle, image_path, tmp_path, monkeypatch, limit
):
    monkeypatch.setattr(slab_statistics, "MAX_BYTES_IN_MEMORY", limit)
    monkeypatch.setattr(Scratch, "open", lambda self: FullDisk())
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    with pytest.raises(OutputError, match=r"cannot be written .* No space left on device"):
        segment(request, NullReporter())
    assert sorted(path.name for path in tmp_path.iterdir()) == [image_path.name]


def test_a_closed_output_is_not_a_full_disk(tmp_path):
    with pytest.raises(BrokenPipeError), write_errors(tmp_path):
        raise BrokenPipeError


def test_label_maps_of_members_are_read_from_their_file_slice_by_slice():
    maps = np.random.default_rng(0).integers(0, 4, (3, 4, 5, 6)).astype(np.uint8)
    with tempfile.TemporaryFile() as file:
        file.write(maps.data)
        for index, expected in enumerate(maps):
            labels = MemberLabels(file, index, (4, 5, 6))
            assert labels.shape == expected.shape
            np.testing.assert_array_equal(np.asarray(labels), expected)
            np.testing.assert_array_equal(
                np.stack([labels[z] for z in (3, 0, 1)]), expected[[3, 0, 1]]
            )
            with pytest.raises(IndexError):
                labels[4]


def test_z_scores_can_be_released():
    prepared = prepared_on(FLIPPED, (4, 6, 6), (1, 1, 1))
    bare = prepared.without_array()
    assert bare.array.size == 0
    assert (bare.grid, bare.oriented, bare.source) == (
        prepared.grid,
        prepared.oriented,
        prepared.source,
    )
    assert isinstance(bare.source, Grid)
