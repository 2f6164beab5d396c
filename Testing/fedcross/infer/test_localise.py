"""The first member looks the volume over, and all read where it sees the structures."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.infer.ensemble import EnsembleOutcome, run_ensemble
from fedcross.infer.events import NullReporter
from fedcross.infer.geometry import Grid
from fedcross.infer.localise import MissedError, Recorded, Surroundings, confined
from fedcross.infer.patches import PatchPredictor, Slab
from fedcross.infer.preprocess import Prepared
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.manifest import Manifest

GRID = Grid((64, 48, 32), (2.0, 2.0, 5.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def bright(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A member to whom everything bright is the structure."""
    return np.stack([1 - patch, patch])


def found(volume: NDArray[np.float32], *cuts: int) -> object:
    """The box around what `bright` sees."""
    surroundings = Surroundings((2, *volume.shape))
    for part, probabilities in slabs_of(bright(volume), *cuts):
        surroundings.see(part, probabilities)
    return surroundings.box(GRID.spacing_mm)


def volume_with(*boxes: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    volume = np.zeros(GRID.shape, np.float32)
    for box in boxes:
        volume[box] = 1
    return volume


@pytest.mark.parametrize("cuts", [(), (12,), (3, 10, 20)])
def test_the_box_is_what_was_found_and_ten_millimetres_around_it(cuts: tuple[int, ...]) -> None:
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    # z: 10 mm are 2 voxels, y and x: 5
    assert found(volume, *cuts) == (slice(8, 16), slice(15, 29), slice(25, 41))


def test_the_box_ends_with_the_volume() -> None:
    volume = volume_with((slice(0, 4), slice(44, 48), slice(0, 6)))
    assert found(volume) == (slice(0, 6), slice(39, 48), slice(0, 11))


def test_two_pieces_far_apart_are_both_in_the_box() -> None:
    one, other = (slice(2, 4), slice(2, 6), slice(2, 6)), (slice(2, 4), slice(2, 6), slice(20, 24))
    assert found(volume_with(one, other)) == (slice(0, 6), slice(0, 11), slice(0, 29))


def test_what_is_only_suspected_is_in_the_box_too() -> None:
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    volume[20, 30, 50] = 0.25
    assert found(volume) == (slice(8, 23), slice(15, 36), slice(25, 56))


def test_nothing_found_is_no_box() -> None:
    assert found(volume_with()) is None
    assert found(np.full(GRID.shape, 0.4, np.float32)) is None


def test_a_structure_that_is_not_found_is_no_box() -> None:
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    surroundings = Surroundings((3, *volume.shape))
    surroundings.see(slice(0, 32), np.stack([1 - volume, volume, np.zeros_like(volume)]))
    assert surroundings.box(GRID.spacing_mm) is None


SHAPE = (12, 10, 20)
BOX = (slice(4, 8), slice(0, 10), slice(3, 20))


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


@pytest.mark.parametrize("cuts", [(), (4,), (5, 8), (2, 6), (3, 7, 10)])
def test_outside_the_box_is_background_and_inside_nothing_changes(cuts: tuple[int, ...]) -> None:
    said = said_of((5, 5, 10), (6, 0, 19))  # the second lies where the volume ends
    before = said.copy()
    parts = list(confined(slabs_of(said, *cuts), BOX, SHAPE))
    after = np.concatenate([probabilities for _, probabilities in parts], axis=1)
    assert (after[:, *BOX] == before[:, *BOX]).all()
    outside = np.ones(SHAPE, bool)
    outside[BOX] = False
    assert (after[0][outside] == 1).all()
    assert (after[1][outside] == 0).all()


@pytest.mark.parametrize("cuts", [(), (4,), (5, 8), (3, 7, 10)])
@pytest.mark.parametrize("place", [(4, 5, 5), (7, 5, 5), (5, 5, 3)])
def test_a_structure_at_a_face_of_the_box_was_missed_in_part(
    place: tuple[int, int, int], cuts: tuple[int, ...]
) -> None:
    with pytest.raises(MissedError):
        list(confined(slabs_of(said_of(place), *cuts), BOX, SHAPE))


@pytest.mark.parametrize("place", [(5, 0, 5), (5, 9, 5), (5, 5, 19), (3, 5, 5), (8, 5, 5)])
def test_where_the_volume_ends_or_outside_the_box_nothing_is_missed(
    place: tuple[int, int, int],
) -> None:
    assert list(confined(slabs_of(said_of(place), 5), BOX, SHAPE))


def test_a_box_that_ends_with_the_volume_along_z_is_open_there() -> None:
    box = (slice(8, 12), slice(1, 9), slice(3, 18))
    assert list(confined(slabs_of(said_of((11, 5, 5)), 6, 10), box, SHAPE))
    with pytest.raises(MissedError):
        list(confined(slabs_of(said_of((8, 5, 5)), 6, 10), box, SHAPE))


SIDE = 16  # of a network's patch
ALL = 3 * 4 * 5  # patches
LOOKED_AT = 2 * 3 * 4  # of the first look


@dataclass
class Told(NullReporter):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)

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
                "patch_size": (SIDE, SIDE, SIDE),
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
    told = Told()
    outcome = run_ensemble(
        manifest,
        lambda index: members[index],
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


def duller(patch: NDArray[np.float32]) -> NDArray[np.float32]:
    """A member that is less sure than `bright`."""
    return np.stack([1 - 0.8 * patch, 0.8 * patch])


def test_near_the_structures_everything_is_as_without_looking_first() -> None:
    volume = volume_with((slice(10, 14), slice(20, 24), slice(30, 36)))
    near, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert whole.computed == 1
    assert near.computed == (len(told.steps) - LOOKED_AT) / 2 / ALL
    assert near.computed < 0.5
    assert (gathered(near) == gathered(whole)).all()
    for ours, theirs in zip(near.member_labels, whole.member_labels, strict=True):
        assert (np.asarray(ours) == np.asarray(theirs)).all()


def test_progress_goes_up_by_one_and_ends_at_its_total() -> None:
    _, told = ensemble(volume_with((slice(10, 14), slice(20, 24), slice(30, 36))), bright, duller)
    assert [done for done, _ in told.steps] == list(range(1, len(told.steps) + 1))
    assert told.steps[-1] == (len(told.steps), len(told.steps))


def test_a_member_that_sees_more_than_the_first_one_makes_the_whole_volume_be_computed() -> None:
    def everywhere(patch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([np.full_like(patch, 0.1), np.full_like(patch, 0.9)])

    volume = np.random.default_rng(0).normal(0, 0.01, GRID.shape).astype(np.float32)  # no air
    volume[10:14, 20:24, 30:36] = 1
    outcome, told = ensemble(volume.clip(0, 1), bright, everywhere)
    assert outcome.computed == 1
    assert (np.asarray(outcome.member_labels[1]) == 1).all()
    assert any("goes on beyond" in line for line in told.lines)
    whole, _ = ensemble(volume.clip(0, 1), bright, everywhere, localise=False)
    assert (gathered(outcome) == gathered(whole)).all()


FEW = (slice(None), slice(0, 24), slice(0, 24))  # 3 * 2 * 2 patches, as many as side by side


def test_in_a_volume_of_few_patches_the_first_member_reads_all_and_the_others_what_it_saw() -> None:
    volume = volume_with((slice(22, 26), slice(18, 22), slice(18, 22)))[FEW]
    near, told = ensemble(volume, bright, duller, bright)
    whole, _ = ensemble(volume, bright, duller, bright, localise=False)
    assert near.computed == (2 * 2 * 2) / (3 * 2 * 2)
    assert len(told.steps) == 3 * 2 * 2 + 2 * (2 * 2 * 2)
    assert told.steps[-1] == (len(told.steps), len(told.steps))
    assert (gathered(near) == gathered(whole)).all()
    for ours, theirs in zip(near.member_labels, whole.member_labels, strict=True):
        assert (np.asarray(ours) == np.asarray(theirs)).all()


def test_a_structure_that_touches_every_patch_confines_nothing() -> None:
    volume = volume_with((slice(14, 18), slice(10, 14), slice(10, 14)))[FEW]
    volume[2, 2, 2] = 0.15  # what is not quite a structure stays uncertain, far from it
    everywhere, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert everywhere.computed == 1
    assert any("touch every patch" in line for line in told.lines)
    assert (gathered(everywhere) == gathered(whole)).all()


def test_in_a_volume_of_few_patches_nothing_is_computed_twice_even_if_nothing_is_found() -> None:
    volume = np.random.default_rng(0).uniform(0, 0.1, GRID.shape).astype(np.float32)[FEW]
    outcome, told = ensemble(volume, bright, duller)
    whole, _ = ensemble(volume, bright, duller, localise=False)
    assert outcome.computed == 1
    assert len(told.steps) == 2 * (3 * 2 * 2)
    assert (gathered(outcome) == gathered(whole)).all()


@pytest.mark.parametrize("cuts", [(), (4,), (5, 8), (3, 7, 10)])
def test_what_is_recorded_comes_back_slab_by_slab_and_may_be_changed(cuts: tuple[int, ...]) -> None:
    said, file = said_of((5, 5, 10)), Recorded(BytesIO())
    assert all(given is not None for given in file.record(slabs_of(said, *cuts)))
    for _ in range(2):
        back = list(file)
        assert [part for part, _ in back] == [part for part, _ in slabs_of(said, *cuts)]
        assert (np.concatenate([values for _, values in back], axis=1) == said).all()
        for _, values in back:
            values[:] = 0


def test_without_a_structure_the_whole_volume_is_computed() -> None:
    outcome, told = ensemble(volume_with(), bright)
    assert outcome.computed == 1
    assert any("misses a structure" in line for line in told.lines)
