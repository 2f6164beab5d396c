from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.ensemble.network import blend
from fedcross.patches import blend as blend_module
from fedcross.patches.placement import gaussian_weight, plan_patches, select_touching
from fedcross.patches.sliding_window import blend_patches, stream_patches
from fedcross.volumes.slab import SLAB_VOXELS


def test_a_constant_prediction_is_blended_to_the_same_constant():
    constant = np.stack([np.full((4, 8, 8), share, dtype=np.float32) for share in (0.25, 0.75)])
    blended = blend_patches(
        lambda patch: constant,
        np.arange(9 * 13 * 8, dtype=np.float32).reshape(1, 9, 13, 8),
        patch=(4, 8, 8),
        overlap=0.5,
        classes=2,
    )
    np.testing.assert_allclose(blended[1], np.full((9, 13, 8), 0.75), rtol=1e-6)


def test_a_small_volume_is_padded_with_zeros():
    seen = []

    def predict(patch):
        seen.append(patch[0].copy())
        return np.concatenate([1 - patch, patch])

    volume = np.full((2, 4, 5), 0.5, dtype=np.float32)
    blended = blend_patches(predict, volume[None], patch=(4, 4, 8), overlap=0.25, classes=2)
    assert blended.shape == (2, 2, 4, 5)
    np.testing.assert_array_equal(blended[1], volume)
    assert seen[0].shape == (4, 4, 8)
    assert np.count_nonzero(seen[0]) == volume.size
    np.testing.assert_array_equal(seen[0][1:3, :, 1:6], volume)


def test_progress_counts_every_patch():
    counted = []
    blend_patches(
        lambda patch: np.concatenate([patch, patch]),
        np.ones((1, 4, 8, 9), dtype=np.float32),
        patch=(4, 4, 4),
        overlap=0,
        classes=2,
        progress=lambda done, total: counted.append((done, total)),
    )
    assert counted == [(done, 6) for done in range(1, 7)]


def whole_volume_at_once(predict, volume, patch, overlap, classes, needed):
    """Compute the blend by its definition, with sums over the whole volume."""
    shape = volume.shape[1:]
    total = np.zeros((classes, *shape), np.float32)
    counted = np.zeros(shape, np.float32)
    weight = gaussian_weight(patch)
    for start in plan_patches(shape, patch, overlap):
        box = tuple(slice(low, low + side) for low, side in zip(start, patch, strict=True))
        if all(a.start < b.stop and b.start < a.stop for a, b in zip(box, needed, strict=True)):
            total[:, *box] += weight * predict(volume[:, *box])
            counted[box] += weight
    total[0][counted == 0] = 1
    return total / np.where(counted == 0, np.float32(1), counted)


def sensitive(patch):
    """Return probabilities that depend on the voxel, its position, and the whole patch."""
    place = np.linspace(0, 1, patch.size, dtype=np.float32).reshape(patch.shape)
    one = 1 / (1 + np.exp(-(patch + place).mean(axis=0) - patch.mean()))
    return np.stack([1 - one, one / 3, 2 * one / 3]).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(5, 23), st.integers(4, 9), st.integers(4, 9)),
    patch=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)),
    overlap=st.floats(0, 0.7),
    corner=st.tuples(st.integers(0, 22), st.integers(0, 3), st.integers(0, 3)),
    most=st.sampled_from([1, 60, 150, SLAB_VOXELS]),
    channels=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_slabs_equal_the_blend_of_the_whole_volume_bit_for_bit(
    shape, patch, overlap, corner, most, channels, seed
):
    volume = np.random.default_rng(seed).standard_normal((channels, *shape)).astype(np.float32)
    volume = volume + np.linspace(0, 1, volume.size, dtype=np.float32).reshape(volume.shape)
    needed = tuple(slice(min(c, s - 1), s) for c, s in zip(corner, shape, strict=True))
    if patch == (1, 1, 1):
        return  # a patch of one voxel counts as air
    starts = select_touching(plan_patches(shape, patch, overlap), patch, needed)
    how = {"patch": patch, "starts": starts, "classes": 3}
    with mock.patch.object(blend_module, "SLAB_VOXELS", most):
        slabs = [(part, p.copy()) for part, p in stream_patches(sensitive, volume, **how)]
    ends = [0]
    for part, probabilities in slabs:
        assert part.start == ends[-1]
        assert probabilities.shape == (3, part.stop - part.start, *shape[1:])
        assert 0 < probabilities.shape[1] <= min(patch[0], max(1, most // (shape[1] * shape[2])))
        ends.append(part.stop)
    assert ends[-1] == shape[0]
    found = np.concatenate([probabilities for _, probabilities in slabs], axis=1)
    expected = whole_volume_at_once(sensitive, volume, patch, overlap, 3, needed)
    np.testing.assert_array_equal(found, expected)


def test_patches_of_air_are_background_and_are_not_predicted():
    volume = np.zeros((4, 4, 12), np.float32)
    volume[..., :4] = np.random.default_rng(0).standard_normal((4, 4, 4))
    volume[..., 8:] = -3.5
    seen, counted = [], []

    def predict(patch):
        seen.append(patch[0].copy())
        return np.concatenate([np.full_like(patch, 0.25), np.full_like(patch, 0.75)])

    blended = blend_patches(
        predict,
        volume[None],
        patch=(4, 4, 4),
        overlap=0,
        classes=2,
        progress=lambda done, total: counted.append((done, total)),
    )
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], volume[..., :4])
    assert (blended[1, ..., :4] == 0.75).all()
    assert (blended[0, ..., 4:] == 1).all()
    assert (blended[1, ..., 4:] == 0).all()
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_a_patch_is_air_only_if_no_channel_varies_in_it():
    volume = np.zeros((2, 4, 4, 12), np.float32)
    volume[1] = 7  # equal within the channel, other than in the first
    volume[1, ..., :4] = np.random.default_rng(0).standard_normal((4, 4, 4))
    seen = []

    def predict(patch):
        seen.append(patch.copy())
        return np.full((2, 4, 4, 4), 0.5, np.float32)

    blended = blend_patches(predict, volume, patch=(4, 4, 4), overlap=0, classes=2)
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], volume[..., :4])
    assert (blended[0, ..., 4:] == 1).all()


@pytest.mark.parametrize("shape", [(13, 21, 40), (8, 16, 16), (5, 30, 12)])
@pytest.mark.parametrize("overlap", [0.25, 0.6])
def test_blending_equals_monais_sliding_window(shape, overlap):
    from monai.inferers import sliding_window_inference

    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 3, padding=1).eval()
    with torch.no_grad():
        network.weight *= 5
    volume = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours = blend(
        network,
        volume[None],
        patch_size=(16, 16, 8),
        overlap=overlap,
        classes=3,
        device=torch.device("cpu"),
    )
    with torch.inference_mode():
        theirs = sliding_window_inference(
            torch.from_numpy(volume)[None, None],
            roi_size=(8, 16, 16),
            sw_batch_size=1,
            predictor=lambda patch: network(patch).softmax(dim=1),
            overlap=overlap,
            mode="gaussian",
            sigma_scale=0.125,
        )
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=1e-5)
