import weakref
from copy import copy
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bright_boxes import BLOB, GRID, PATCH, IntensityMember, certain, less_certain, volume_with
from fedcross.backends.torch_backend import DevicePredictor, TorchPredictor
from fedcross.ensemble.members import EnsembleOutcome
from fedcross.ensemble.run import run_ensemble
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.manifest import Manifest
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared

ALL = 3 * 4 * 5  # patches of the full grid
FIRST_PASS = 2 * 2 * 3  # patches with gaps of 0, 5.3 and 4 voxels; one fewer: 8, 16 and 10.7


@dataclass
class Recorder(NullReporter):
    """Records messages, progress and the members loaded."""

    lines: list[str] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)

    def log(self, message: str) -> None:
        self.lines.append(message)

    def progress(self, done: int, total: int, stage: str) -> None:
        self.steps.append((done, total))


def ensemble(
    volume: NDArray[np.float32], *members: PatchPredictor, localise: bool = True
) -> tuple[EnsembleOutcome, Recorder]:
    """Run members on a volume whose grid is already the networks' grid."""
    channels = volume if volume.ndim == 4 else volume[None]
    grid = Grid(channels.shape[:0:-1], GRID.spacing_mm, GRID.origin_mm, GRID.direction)
    manifest = Manifest.model_validate(
        {
            "name": "Blob",
            "architecture": UNetArchitecture(base_channels=2, norm="batch").model_dump(),
            "preprocessing": {
                "spacing_mm": GRID.spacing_mm,
                "patch_size": PATCH,
                "overlap": 0.25,
            },
            "structures": [{"name": "Blob", "label": 1}],
            "members": [
                {"file": f"models/member_{k}.safetensors", "sha256": "0" * 64}
                for k in range(len(members))
            ],
            "provenance": {"created": "2026-01-01"},
        }
    )
    recorder, references = Recorder(), list[weakref.ref[PatchPredictor]]()

    def load(index: int) -> PatchPredictor:
        assert not any(earlier() for earlier in references), "only one member is in memory"
        member = copy(members[index])
        references.append(weakref.ref(member))
        recorder.loaded.append(index)
        return member

    outcome = run_ensemble(
        manifest,
        load,
        Prepared(channels, grid, grid, grid),
        BytesIO,
        measures=["std"],
        localise=localise,
        reporter=recorder,
    )
    return outcome, recorder


def mean_and_std(outcome: EnsembleOutcome) -> NDArray[np.float32]:
    """Return the ensemble's mean and standard deviation, concatenated along the class axis."""
    mean = np.concatenate([part for _, part in outcome.statistics.mean()], axis=1)
    spread = np.concatenate([part for _, part in outcome.statistics.measure("std")], axis=1)
    return np.concatenate([mean, spread])


def assert_equal(near: EnsembleOutcome, whole: EnsembleOutcome, atol: float = 0) -> None:
    assert np.abs(mean_and_std(near) - mean_and_std(whole)).max() <= atol
    for ours, theirs in zip(near.member_labels, whole.member_labels, strict=True):
        assert (np.asarray(ours) == np.asarray(theirs)).all()


def test_the_localiser_gives_the_same_result_with_fewer_patches() -> None:
    volume = volume_with((slice(10, 14), slice(12, 14), slice(30, 34)))
    near, recorder = ensemble(volume, certain, less_certain)
    whole, _ = ensemble(volume, certain, less_certain, localise=False)
    assert whole.computed == 1
    assert near.computed == (len(recorder.steps) - FIRST_PASS) / 2 / ALL
    # The box z = 8 to 15, y = 6 to 19, x = 24 to 39 lies near the centres of the patches at z = 0, 12,
    # y = 0, 12 and x = 12, 24, 36; it contains the surroundings.
    assert near.computed <= 2 * 2 * 3 / ALL
    assert_equal(near, whole, atol=1e-6)  # the weighted mean of equal numbers has rounding errors


def test_a_structure_that_ends_in_a_gap_does_not_need_the_whole_volume() -> None:
    for end in range(21, 27):  # ends in the gap, or just before it
        volume = volume_with((slice(10, 14), slice(12, end), slice(30, 34)))
        near, _ = ensemble(volume, certain, less_certain)
        assert near.computed < 0.5
        assert_equal(near, ensemble(volume, certain, less_certain, localise=False)[0], atol=1e-6)


def test_a_structure_that_only_the_second_channel_shows_is_found() -> None:
    second = volume_with((slice(10, 14), slice(12, 14), slice(30, 34)))
    members = IntensityMember(channel=1), IntensityMember(0.8, channel=1)
    both = np.stack([volume_with(), second])
    near, _ = ensemble(both, *members)
    assert near.computed < 0.5
    assert_equal(near, ensemble(second, certain, less_certain)[0])


def test_progress_goes_up_by_one_and_ends_at_its_total() -> None:
    _, recorder = ensemble(volume_with(BLOB), certain, less_certain)
    assert [done for done, _ in recorder.steps] == list(range(1, len(recorder.steps) + 1))
    assert recorder.steps[-1] == (len(recorder.steps), len(recorder.steps))
    assert recorder.steps[0] == (1, FIRST_PASS + 2 * ALL)  # the largest possible total


def test_each_member_is_loaded_once() -> None:
    assert ensemble(volume_with(BLOB), certain, less_certain, certain)[1].loaded == [0, 1, 2]
    assert ensemble(volume_with(), certain, less_certain)[1].loaded == [0, 1]  # no structure


def test_the_whole_volume_is_computed_if_a_structure_reaches_the_edge_of_the_surroundings() -> None:
    members = certain, IntensityMember(lowest=0.9)
    volume = np.random.default_rng(0).normal(0, 0.01, GRID.shape).astype(np.float32)  # without air
    volume[BLOB] = 1
    outcome, recorder = ensemble(volume.clip(0, 1), *members)
    assert outcome.computed == 1
    assert (np.asarray(outcome.member_labels[1]) == 1).all()
    assert any("continues beyond" in line for line in recorder.lines)
    assert [done for done, _ in recorder.steps] == list(range(1, len(recorder.steps) + 1))
    assert recorder.steps[-1] == (len(recorder.steps), len(recorder.steps))
    whole, _ = ensemble(volume.clip(0, 1), *members, localise=False)
    assert_equal(outcome, whole)


def test_the_whole_volume_is_computed_if_a_structure_lies_in_a_gap() -> None:
    # Along y the patches of the first pass start at 5 and 27.
    volume = volume_with((slice(10, 14), slice(21, 27), slice(30, 36)))
    outcome, recorder = ensemble(volume, certain, less_certain)
    assert outcome.computed == 1
    assert any("misses a structure" in line for line in recorder.lines)
    assert len(recorder.steps) == FIRST_PASS + 2 * ALL
    assert_equal(outcome, ensemble(volume, certain, less_certain, localise=False)[0])


FEW = (slice(None), slice(0, 24), slice(0, 24))  # 3 * 2 * 2 patches; the first pass has two


def test_the_localiser_gives_the_same_result_in_a_volume_of_few_patches() -> None:
    volume = volume_with((slice(22, 26), slice(18, 22), slice(18, 22)))[FEW]
    near, recorder = ensemble(volume, certain, less_certain)
    whole, _ = ensemble(volume, certain, less_certain, localise=False)
    # Left out are the patches at z = 0, and of the others the one at y = x = 0, of which only a corner
    # lies in the surroundings.
    assert near.computed == (2 * 3) / (3 * 2 * 2)
    assert len(recorder.steps) == 2 + 2 * (2 * 3)
    assert_equal(near, whole, atol=1e-6)


def test_the_localiser_gives_the_same_result_in_a_volume_thinner_than_a_patch() -> None:
    volume = volume_with(BLOB)[9:17]
    near, recorder = ensemble(volume, certain, less_certain)
    whole, _ = ensemble(volume, certain, less_certain, localise=False)
    assert near.computed <= 3 * 3 / (4 * 5)
    assert recorder.steps[-1] == (len(recorder.steps), len(recorder.steps))
    assert_equal(near, whole, atol=1e-6)


def test_the_whole_volume_is_computed_if_the_structures_fill_it() -> None:
    volume = volume_with((slice(4, 28), slice(4, 20), slice(4, 20)))[FEW]
    volume[2, 2, 2] = 0.15  # uncertain, far from the structure, and not suspected
    everywhere, recorder = ensemble(volume, certain, less_certain)
    whole, _ = ensemble(volume, certain, less_certain, localise=False)
    assert everywhere.computed == 1
    assert len(recorder.steps) == 2 + 2 * (3 * 2 * 2)
    assert any("too far to save" in line for line in recorder.lines)
    assert_equal(everywhere, whole)


def test_the_whole_volume_is_computed_if_it_has_too_few_patches() -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (16, 16, 32)).astype(np.float32)
    outcome, recorder = ensemble(volume, certain)
    assert outcome.computed == 1
    assert recorder.steps == [(1, 3), (2, 3), (3, 3)]
    assert any("too few patches" in line for line in recorder.lines)


def test_the_whole_volume_is_computed_if_the_first_member_finds_no_structure() -> None:
    outcome, recorder = ensemble(volume_with(), certain)
    assert outcome.computed == 1
    assert any("misses a structure" in line for line in recorder.lines)


def network(gain: float) -> torch.nn.Module:
    """Return a network that finds the structure where the mean of 3 x 3 x 3 voxels is above 1/2."""
    smooth = torch.nn.Conv3d(1, 2, 3, padding=1).eval().requires_grad_(False)
    smooth.weight[:], smooth.bias[:] = 0, 0
    smooth.weight[1], smooth.bias[1] = gain / 27, -gain / 2
    return smooth


@pytest.mark.parametrize("kind", [TorchPredictor, DevicePredictor])
def test_networks_give_the_same_result_with_the_localiser_on_host_and_device(
    kind: type[TorchPredictor],
) -> None:
    volume = np.random.default_rng(0).normal(0, 0.1, GRID.shape).astype(np.float32)
    volume[10:14, 30:36, 30:36] += 1
    members = [kind(network(gain), device=torch.device("cpu")) for gain in (20, 12, 16)]
    near, _ = ensemble(volume, *members)
    whole, _ = ensemble(volume, *members, localise=False)
    assert near.computed < 0.5
    assert_equal(near, whole, atol=0.01)  # the network pads each patch with zeros
    assert np.asarray(near.member_labels[0]).sum() > 50
