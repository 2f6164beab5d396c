import tempfile
import weakref

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from fedcross.backends.torch_backend import DevicePredictor, TorchPredictor
from fedcross.ensemble.label_map import label_map
from fedcross.ensemble.network import blend
from fedcross.ensemble.run import run_ensemble
from fedcross.errors import DeviceError, PrecisionError
from fedcross.patches.sliding_window import blend_patches
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.prepare import prepare, resample_to_source

CPU = torch.device("cpu")


class Recorder(NullReporter):
    def __init__(self):
        self.steps = []

    def progress(self, done, total, stage):
        self.steps.append((done, total, stage))


@pytest.fixture
def prepared(volume, bundle):
    return prepare(sitk.DICOMOrient(volume, "SAR"), bundle.manifest.preprocessing)


def whole(slabs):
    return np.concatenate([values for _, values in slabs], axis=1)


def member(index):
    """A member: the foreground grows with the voxel and with `index`; two structures share it 3 to 1."""

    def predict(patch):
        one = np.clip(patch[0] + 0.1 * index, 0, 1)
        return np.stack([1 - one, 0.75 * one, 0.25 * one]).astype(np.float32)

    return predict


def test_mean_spread_and_labels_are_those_of_the_members(bundle, prepared):
    recorder = Recorder()
    with tempfile.TemporaryFile() as spool:
        outcome = run_ensemble(
            bundle.manifest, member, prepared, lambda: spool, measures=("std",), reporter=recorder
        )
        labels = np.stack([np.asarray(one) for one in outcome.member_labels])
    # A member that reads one voxel at a time gives the same with and without overlap.
    every = np.stack([member(index)(prepared.array) for index in range(3)]).astype(np.float64)
    np.testing.assert_allclose(whole(outcome.statistics.mean()), every.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(
        whole(outcome.statistics.measure("std"))[0],
        np.sqrt(every.var(axis=0).sum(axis=0) / 2),
        atol=1e-6,
    )
    assert labels.shape == (3, *prepared.source.shape)
    for index in range(3):
        background, first, _ = every[index].astype(np.float32)
        expected = resample_to_source(first, prepared) > resample_to_source(background, prepared)
        assert np.mean(labels[index] == expected) > 0.999
    total = recorder.steps[-1][1]
    assert recorder.steps == [(done, total, "ensemble") for done in range(1, total + 1)]


def test_one_member_is_in_memory_at_a_time(bundle, prepared):
    alive = []

    class Member:
        def __call__(self, patch):
            return np.full((3, *patch.shape[1:]), 1 / 3, np.float32)

    def load(index):
        assert all(reference() is None for reference in alive)
        member = Member()
        alive.append(weakref.ref(member))
        return member

    with tempfile.TemporaryFile() as spool:
        run_ensemble(
            bundle.manifest,
            load,
            prepared,
            lambda: spool,
            measures=("entropy",),
            reporter=NullReporter(),
        )
    assert len(alive) == 3


def test_of_equal_classes_the_lowest_wins(prepared):
    even = np.full((3, *prepared.grid.shape), 1 / 3, dtype=np.float32)
    assert not label_map(even, prepared).any()
    even[0] = 0
    assert (label_map(even, prepared) == 1).all()


def test_a_label_map_does_not_change_the_probabilities(volume, bundle):
    preprocessing = bundle.manifest.preprocessing.model_copy(
        update={"spacing_mm": volume.GetSpacing()}
    )
    prepared = prepare(volume, preprocessing)  # without resampling, nothing is copied
    probabilities = np.full((2, *prepared.grid.shape), 0.25, np.float32)
    probabilities[1] = 0.75
    assert label_map(probabilities, prepared).all()
    assert (probabilities[0] == 0.25).all()


def test_labels_are_compared_after_interpolation(volume, bundle):
    """Comparing first would show the staircase of the coarse grid."""
    prepared = prepare(volume, bundle.manifest.preprocessing)
    ramp = np.linspace(0, 1, prepared.grid.shape[2], dtype=np.float32)
    foreground = np.broadcast_to(ramp, prepared.grid.shape)
    labels = label_map(np.stack([1 - foreground, foreground]), prepared)
    assert (np.diff(labels.astype(int), axis=2) >= 0).all()
    assert labels.mean() == pytest.approx(0.5, abs=0.02)


class Constant(torch.nn.Module):
    def forward(self, x):
        return torch.cat([torch.zeros_like(x), torch.full_like(x, 2.0)], dim=1)


def run_constant(**options):
    return blend(
        Constant(),
        np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4),
        patch_size=(4, 4, 4),
        overlap=0.25,
        classes=2,
        device=CPU,
        **options,
    )[1, 0, 0, 0]


def test_logits_become_probabilities():
    assert run_constant() == pytest.approx(1 / (1 + np.exp(-2)))


def test_the_temperature_divides_the_logits():
    assert run_constant(temperature=2.0) == pytest.approx(1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(("precision", "most"), [("bf16", 0.05), ("fp16", 0.05 / 8)])
def test_half_precision_stays_close_to_fp32_and_returns_float32(bundle, blobs, precision, most):
    network = bundle.load_member(0)
    patch = np.ascontiguousarray(blobs[None, :16, :16, :32] / 500 - 1).astype(np.float32)
    exact = TorchPredictor(network, device=CPU)(patch)
    rounded = TorchPredictor(network, device=CPU, precision=precision)(patch)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(exact - rounded).max() < most


class Large(torch.nn.Module):
    """Computes numbers above 65504, the largest in fp16."""

    def forward(self, x):
        return torch.cat(
            [x, torch.nn.functional.conv3d(x, torch.full((1, 1, 1, 1, 1), 7e4))], dim=1
        )


@pytest.mark.parametrize("kind", [TorchPredictor, DevicePredictor])
def test_numbers_too_large_for_fp16_are_one_sentence(kind):
    how = {"patch": (4, 4, 4), "overlap": 0.25, "classes": 2}
    volume = np.arange(64, dtype=np.float32).reshape(1, 4, 4, 4)
    with pytest.raises(PrecisionError, match=r"too large for fp16. Use --precision fp32"):
        blend_patches(kind(Large(), device=CPU, precision="fp16"), volume, **how)
    for precision in ("fp32", "bf16"):
        found = blend_patches(kind(Large(), device=CPU, precision=precision), volume, **how)
        assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "GPU's memory .* --device cpu"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "The memory does not suffice"),
    ],
)
def test_too_little_memory_is_one_sentence(error, message):
    class Hungry(torch.nn.Module):
        def forward(self, x):
            raise error

    with pytest.raises(DeviceError, match=message):
        TorchPredictor(Hungry(), device=CPU)(np.zeros((1, 2, 2, 2), dtype=np.float32))


def test_other_errors_of_a_network_are_raised_unchanged():
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        TorchPredictor(Broken(), device=CPU)(np.zeros((1, 2, 2, 2), dtype=np.float32))
