"""The first member looks the volume over, and all read where it sees the structures."""

import weakref
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcross.backends.torch_backend import DevicePredictor, TorchPredictor
from fedcross.ensemble.localiser.cells import Cells
from fedcross.ensemble.localiser.look import MAX_GAP_MM, MissedError, confined, look, plan_look
from fedcross.ensemble.members import EnsembleOutcome
from fedcross.ensemble.run import run_ensemble
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.manifest import Manifest
from fedcross.patches.placement import Start, plan_patches
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid, Triple
from fedcross.volumes.prepare import Prepared
from fedcross.volumes.slab import Slab

GRID = Grid((64, 48, 32), (2.0, 2.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SIDE = 16  # of a network's patch
PATCH = (SIDE, SIDE, SIDE)


@dataclass(frozen=True)
class Sees:
    """A member to whom everything bright is the structure, more or less surely."""

    surely: float = 1
    everywhere: float = 0

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        structure = np.maximum(np.float32(self.surely) * patch, np.float32(self.everywhere))
        return np.stack([1 - structure, structure])


bright, duller = Sees(), Sees(0.8)


def volume_with(*boxes: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    volume = np.zeros(GRID.shape, np.float32)
    for box in boxes:
        volume[box] = 1
    return volume


SPACING: Triple = (0.5, 0.5, 1.0)


def test_the_reference_volume_is_looked_over_in_8_patches() -> None:
    shape, patch = (72, 384, 384), (32, 160, 160)
    starts = plan_look(shape, patch, SPACING, full=27, members=4)
    assert starts[0] == (3, 21, 21)
    assert starts[-1] == (37, 203, 203)
    assert len(starts) == 8


@given(
    shape=st.tuples(*[st.integers(1, 200)] * 3),
    patch=st.tuples(*[st.integers(1, 60)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 15)] * 3),
)
def test_no_gap_is_wider_than_it_may_be(
    shape: tuple[int, int, int], patch: tuple[int, int, int], spacing: Triple
) -> None:
    starts = plan_look(shape, patch, spacing, full=10**9, members=1)
    for axis, (side, part, mm) in enumerate(zip(shape, patch, spacing[::-1], strict=True)):
        lows = sorted({start[axis] for start in starts})
        ends = [0, *(low + part for low in lows)]
        gaps = [begin - end for end, begin in zip(ends, [*lows, side], strict=True)]
        assert max(gaps) * mm <= MAX_GAP_MM


def test_a_look_that_takes_more_than_a_quarter_of_everything_is_none() -> None:
    shape, patch = (72, 384, 384), (32, 160, 160)
    assert plan_look(shape, patch, SPACING, full=8, members=4)  # 8 of 32
    assert not plan_look(shape, patch, SPACING, full=7, members=4)  # 8 of 28
    assert not plan_look(shape, patch, SPACING, full=27, members=1)  # 8 of 27


def test_a_volume_of_one_patch_is_not_looked_over() -> None:
    assert not plan_look((32, 160, 160), (32, 160, 160), SPACING, full=1, members=9)


def seen(
    volume: NDArray[np.float32],
    predict: PatchPredictor = bright,
    starts: list[Start] | None = None,
    classes: int = 2,
) -> Cells | None:
    """The surroundings of what a member suspects, of patches side by side."""
    told: list[tuple[int, int]] = []
    starts = plan_patches(volume.shape, PATCH, 0) if starts is None else starts
    surroundings = look(
        predict,
        volume,
        patch=PATCH,
        starts=starts,
        classes=classes,
        spacing_mm=GRID.spacing_mm,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, len(starts)) for done in range(1, len(starts) + 1)]
    return surroundings


def extent(surroundings: Cells | None) -> list[tuple[int, int]]:
    """First and last voxel along z, y, x."""
    assert surroundings is not None
    voxels = np.argwhere(surroundings.voxels(slice(None)))
    return [(int(n.min()), int(n.max())) for n in voxels.T]


BLOB = (slice(10, 14), slice(20, 24), slice(30, 36))


def test_the_surroundings_are_what_was_found_and_ten_millimetres_around_it() -> None:
    # Cells of 2 voxels are 10 mm along z and 4 mm in plane: of one and three more some voxel is
    # nearer than 10 mm.
    assert extent(seen(volume_with(BLOB))) == [(8, 15), (14, 29), (24, 41)]


def test_the_surroundings_end_with_the_volume() -> None:
    corner = (slice(0, 4), slice(44, 48), slice(0, 6))
    assert extent(seen(volume_with(corner))) == [(0, 5), (38, 47), (0, 11)]


def test_what_is_only_suspected_has_surroundings_too() -> None:
    volume = volume_with(BLOB)
    volume[20, 40, 60] = 0.25
    surroundings = seen(volume)
    assert extent(surroundings) == [(8, 23), (14, 47), (24, 63)]
    assert surroundings is not None
    between = surroundings.voxels(slice(None))[:, 30:34]
    assert not between.any()
    volume[20, 40, 60] = 0.15
    assert extent(seen(volume)) == extent(seen(volume_with(BLOB)))


def test_nothing_found_is_no_surroundings() -> None:
    assert seen(volume_with()) is None
    ramp = np.linspace(0.3, 0.4, GRID.voxels, dtype=np.float32)
    assert seen(ramp.reshape(GRID.shape)) is None


def test_every_structure_has_to_be_found() -> None:
    def of_three(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        one, other = (patch == 1), 0.45 * (patch == 2) + 0.55 * (patch == 3)
        return np.stack([1 - one - other, one, other]).astype(np.float32)

    volume = volume_with(BLOB)
    volume[20:22, 40:42, 60:62] = 2  # not quite
    assert seen(volume, of_three, classes=3) is None
    volume[20, 40, 60] = 3
    assert extent(seen(volume, of_three, classes=3)) == [(8, 23), (14, 47), (24, 63)]


def test_what_lies_in_a_gap_is_not_seen() -> None:
    assert seen(volume_with(BLOB), starts=[(0, 0, 0), (0, 24, 24), (14, 16, 24)]) is None
    assert seen(volume_with(BLOB), starts=[(0, 0, 0), (13, 23, 35)]) is not None


def test_a_gap_beside_what_is_suspected_belongs_to_its_surroundings_up_to_the_other_side() -> None:
    volume = volume_with((slice(10, 14), slice(12, 20), slice(30, 34)))
    starts = list(product((0, 16), (5, 27), (4, 24, 44)))
    assert extent(seen(volume)) == [(8, 15), (6, 25), (24, 39)]
    # Of the cells with a voxel of the gap, y = 21 to 26, those of 20 to 25 have one nearer than 12 mm.
    # One cell more is near them, and another one nearer than 5 mm.
    assert extent(seen(volume, starts=starts))[1] == (6, 29)
    volume[:, 14:] = 0  # 12 mm before the cell of 20
    assert extent(seen(volume, starts=starts))[1] == (6, 19)


def test_what_is_put_around_a_small_volume_is_no_place_for_a_structure() -> None:
    def dark(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        structure = (patch == 0).astype(np.float32)
        return np.stack([1 - structure, structure])

    volume = np.random.default_rng(0).uniform(1, 2, (10, 48, 9)).astype(np.float32)
    assert seen(volume, dark) is None
    volume[5, 20, 4] = 0
    # 5 is in a cell of its own 2 voxels, and 1 more is near; x is near from end to end.
    assert extent(seen(volume, dark)) == [(2, 7), (14, 27), (0, 8)]


SHAPE = (16, 10, 20)
BOX = (slice(4, 12), slice(0, 10), slice(4, 20))


def surroundings_of_box() -> Cells:
    """`BOX` in cells of 2 voxels."""
    cells = Cells.none(SHAPE, (2, 2, 2))
    cells.mask[2:6, :, 2:] = True
    return cells


def slabs_of(probabilities: NDArray[np.float32], *cuts: int) -> Iterator[Slab]:
    """A volume's probabilities, cut between slices."""
    for low, high in pairwise((0, *cuts, probabilities.shape[1])):
        yield slice(low, high), probabilities[:, low:high]


def said_of(*places: tuple[int, int, int]) -> NDArray[np.float32]:
    """A structure is most probable at some voxels, and likely nowhere else."""
    structure = np.full(SHAPE, 0.4, np.float32)
    for place in places:
        structure[place] = 0.7
    return np.stack([1 - structure, structure])


@pytest.mark.parametrize("cuts", [(), (4,), (5, 12), (2, 6), (3, 7, 11, 14)])
def test_outside_the_surroundings_is_background_and_inside_nothing_changes(
    cuts: tuple[int, ...],
) -> None:
    said = said_of((7, 5, 10), (8, 0, 19), (14, 5, 10))
    before = said.copy()
    parts = list(confined(slabs_of(said, *cuts), surroundings_of_box()))
    after = np.concatenate([probabilities for _, probabilities in parts], axis=1)
    assert (after[:, *BOX] == before[:, *BOX]).all()
    outside = np.ones(SHAPE, bool)
    outside[BOX] = False
    assert (after[0][outside] == 1).all()
    assert (after[1][outside] == 0).all()


@pytest.mark.parametrize("cuts", [(), (4,), (5, 8), (3, 7, 10)])
@pytest.mark.parametrize("place", [(4, 5, 8), (5, 0, 19), (10, 5, 8), (11, 5, 8), (7, 5, 5)])
def test_a_structure_in_the_outermost_cells_was_missed_in_part(
    place: tuple[int, int, int], cuts: tuple[int, ...]
) -> None:
    with pytest.raises(MissedError):
        list(confined(slabs_of(said_of(place), *cuts), surroundings_of_box()))


@pytest.mark.parametrize(
    "place", [(6, 5, 6), (9, 0, 8), (7, 9, 8), (7, 5, 19), (3, 5, 8), (12, 5, 8), (7, 5, 3)]
)
def test_farther_inside_where_the_volume_ends_or_outside_nothing_is_missed(
    place: tuple[int, int, int],
) -> None:
    assert list(confined(slabs_of(said_of(place), 5), surroundings_of_box()))


def test_any_of_several_structures_counts() -> None:
    said = np.stack([*said_of(), np.zeros(SHAPE, np.float32)])
    said[2, 4, 5, 8] = 0.7
    with pytest.raises(MissedError):
        list(confined(slabs_of(said), surroundings_of_box()))


ALL = 3 * 4 * 5  # patches
LOOKED_AT = 2 * 2 * 3  # gaps of 0, 5.3 and 4 voxels; with one patch fewer 8, 16 and 10.7


@dataclass
class Told(NullReporter):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)

    def log(self, message: str) -> None:
        self.lines.append(message)

    def progress(self, done: int, total: int, stage: str) -> None:
        self.steps.append((done, total))


def ensemble(
    volume: NDArray[np.float32], *members: PatchPredictor, localise: bool = True
) -> tuple[EnsembleOutcome, Told]:
    """What members say of a volume on a grid of its own."""
    grid = Grid(volume.shape[::-1], GRID.spacing_mm, GRID.origin_mm, GRID.direction)
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
    told, alive = Told(), list[weakref.ref[PatchPredictor]]()

    def load(index: int) -> PatchPredictor:
        assert not any(earlier() for earlier in alive), "one member is alive at a time"
        member = copy(members[index])
        alive.append(weakref.ref(member))
        told.loaded.append(index)
        return member

    outcome = run_ensemble(
        manifest,
        load,
        Prepared(volume, grid, grid, grid),
        BytesIO,
        measures=["std"],
        localise=localise,
        reporter=told,
    )
    return outcome, told


def gathered(outcome: EnsembleOutcome) -> NDArray[np.float32]:
    """The ensemble's mean and spread, one above the other."""
    mean = np.concatenate([part for _, part in outcome.statistics.mean()], axis=1)
    spread = np.concatenate([part for _, part in outcome.statistics.measure("std")], axis=1)
    return np.concatenate([mean, spread])


def assert_equal(near: EnsembleOutcome, whole: EnsembleOutcome, atol: float = 0) -> None:
    assert np.abs(gathered(near) - gathered(whole)).max() <= atol
    for ours, theirs in zip(near.member_labels, whole.member_labels, strict=True):
        assert (np.asarray(ours) == np.asarray(theirs)).all()


def test_near_the_structures_everything_is_as_without_looking_first() -> None:
    volume = volume_with((slice(10, 14), slice(12, 14), slice(30, 34)))
    near, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert whole.computed == 1
    assert near.computed == (len(told.steps) - LOOKED_AT) / 2 / ALL
    # z = 8 to 15, y = 6 to 19 and x = 24 to 39 lie in the middle of those at z = 0, 12, y = 0, 12 and
    # x = 12, 24, 36; the surroundings are less than that box.
    assert near.computed <= 2 * 2 * 3 / ALL
    assert_equal(near, whole, atol=1e-6)  # a mean of equal numbers is rounded


def test_a_structure_that_ends_in_a_gap_is_no_reason_to_read_everything() -> None:
    for end in range(21, 27):  # the gap, or just before
        volume = volume_with((slice(10, 14), slice(12, end), slice(30, 34)))
        near, _ = ensemble(volume, bright, duller)
        assert near.computed < 0.5
        assert_equal(near, ensemble(volume, bright, duller, localise=False)[0], atol=1e-6)


def test_progress_goes_up_by_one_and_ends_at_its_total() -> None:
    _, told = ensemble(volume_with(BLOB), bright, duller)
    assert [done for done, _ in told.steps] == list(range(1, len(told.steps) + 1))
    assert told.steps[-1] == (len(told.steps), len(told.steps))
    assert told.steps[0] == (1, LOOKED_AT + 2 * ALL)  # more than this it will not be


def test_each_member_is_brought_to_life_once() -> None:
    assert ensemble(volume_with(BLOB), bright, duller, bright)[1].loaded == [0, 1, 2]
    assert ensemble(volume_with(), bright, duller)[1].loaded == [0, 1]  # nothing found


def test_a_member_that_sees_more_than_the_first_one_makes_the_whole_volume_be_computed() -> None:
    members = bright, Sees(everywhere=0.9)
    volume = np.random.default_rng(0).normal(0, 0.01, GRID.shape).astype(np.float32)  # no air
    volume[BLOB] = 1
    outcome, told = ensemble(volume.clip(0, 1), *members)
    assert outcome.computed == 1
    assert (np.asarray(outcome.member_labels[1]) == 1).all()
    assert any("goes on beyond" in line for line in told.lines)
    assert [done for done, _ in told.steps] == list(range(1, len(told.steps) + 1))
    assert told.steps[-1] == (len(told.steps), len(told.steps))
    whole, _ = ensemble(volume.clip(0, 1), *members, localise=False)
    assert_equal(outcome, whole)


def test_a_structure_that_lies_in_a_gap_makes_the_whole_volume_be_computed() -> None:
    # Along y the patches of the first look are at 5 and 27.
    volume = volume_with((slice(10, 14), slice(21, 27), slice(30, 36)))
    outcome, told = ensemble(volume, bright, duller)
    assert outcome.computed == 1
    assert any("misses a structure" in line for line in told.lines)
    assert len(told.steps) == LOOKED_AT + 2 * ALL
    assert_equal(outcome, ensemble(volume, bright, duller, localise=False)[0])


FEW = (slice(None), slice(0, 24), slice(0, 24))  # 3 * 2 * 2 patches, two of which are a look


def test_in_a_volume_of_few_patches_it_is_the_same() -> None:
    volume = volume_with((slice(22, 26), slice(18, 22), slice(18, 22)))[FEW]
    near, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    # Not those at z = 0, nor of the others the one at y = x = 0, of which only a corner lies near.
    assert near.computed == (2 * 3) / (3 * 2 * 2)
    assert len(told.steps) == 2 + 2 * (2 * 3)
    assert_equal(near, whole, atol=1e-6)


def test_in_a_volume_thinner_than_a_patch_it_is_the_same() -> None:
    volume = volume_with(BLOB)[9:17]
    near, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert near.computed <= 3 * 3 / (4 * 5)
    assert told.steps[-1] == (len(told.steps), len(told.steps))
    assert_equal(near, whole, atol=1e-6)


def test_structures_all_over_the_volume_confine_nothing() -> None:
    volume = volume_with((slice(4, 28), slice(4, 20), slice(4, 20)))[FEW]
    volume[2, 2, 2] = 0.15  # what is not quite a structure stays uncertain, far from it
    everywhere, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert everywhere.computed == 1
    assert len(told.steps) == 2 + 2 * (3 * 2 * 2)
    assert any("too far to save" in line for line in told.lines)
    assert_equal(everywhere, whole)


def test_where_a_look_would_not_be_worth_it_there_is_none() -> None:
    volume = np.random.default_rng(0).uniform(0, 1, (16, 16, 32)).astype(np.float32)
    outcome, told = ensemble(volume, bright)
    assert outcome.computed == 1
    assert told.steps == [(1, 3), (2, 3), (3, 3)]
    assert any("too few patches" in line for line in told.lines)


def test_without_a_structure_the_whole_volume_is_computed() -> None:
    outcome, told = ensemble(volume_with(), bright)
    assert outcome.computed == 1
    assert any("misses a structure" in line for line in told.lines)


def network(gain: float) -> torch.nn.Module:
    """Sure of the structure where the mean of 3 x 3 x 3 voxels is above one half."""
    smooth = torch.nn.Conv3d(1, 2, 3, padding=1).eval().requires_grad_(False)
    smooth.weight[:], smooth.bias[:] = 0, 0
    smooth.weight[1], smooth.bias[1] = gain / 27, -gain / 2
    return smooth


@pytest.mark.parametrize("kind", [TorchPredictor, DevicePredictor])
def test_networks_segment_the_same_wherever_they_blend(kind: type[TorchPredictor]) -> None:
    volume = np.random.default_rng(0).normal(0, 0.1, GRID.shape).astype(np.float32)
    volume[10:14, 30:36, 30:36] += 1
    members = [kind(network(gain), device=torch.device("cpu")) for gain in (20, 12, 16)]
    near, _ = ensemble(volume, *members)
    whole, _ = ensemble(volume, *members, localise=False)
    assert near.computed < 0.5
    assert_equal(near, whole, atol=0.01)  # zeros around a patch matter to a network
    assert np.asarray(near.member_labels[0]).sum() > 50
