import math
import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fedcross.uncertainty.measures import MEASURES, upper_bound
from fedcross.uncertainty.statistics import EnsembleStatistics

LN2 = math.log(2)


def statistics(members: NDArray[np.float32]) -> EnsembleStatistics:
    """Return the statistics of members (K, C, ...)."""
    gathered = EnsembleStatistics(members.shape[1:])
    for member in members:
        gathered.update(member)
    return gathered


def voxel(*members: tuple[float, ...]) -> EnsembleStatistics:
    """Return the statistics of K members' class probabilities at a single voxel."""
    return statistics(np.array(members, np.float32)[..., None])


def random_members(seed: int, members: int, classes: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    raw = rng.dirichlet(np.ones(classes), (members, 6, 5, 4))
    return np.moveaxis(raw, -1, 1).astype(np.float32)


def definitions(members: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Compute the measures from their definitions, in float64 with all members in memory."""
    p = members.astype(np.float64)
    mean = p.mean(0)
    entropy = -(mean * np.log(mean)).sum(0)
    expected = -(p * np.log(p)).sum(1).mean(0)
    votes = np.stack([(p.argmax(1) == c).sum(0) for c in range(p.shape[1])])
    return {
        "std": np.sqrt(0.5 * p.var(0).sum(0)),
        "entropy": entropy,
        "mutual_information": entropy - expected,
        "variation_ratio": 1 - votes.max(0) / len(p),
    }


@pytest.mark.parametrize("members", [1, 2, 5, 16])
@pytest.mark.parametrize("classes", [2, 4])
def test_streaming_equals_the_definitions_in_float64(members: int, classes: int) -> None:
    p = random_members(members * classes, members, classes)
    gathered, expected = statistics(p), definitions(p)
    assert np.allclose(gathered.mean, p.astype(np.float64).mean(0), atol=1e-6)
    for measure in MEASURES:
        assert np.allclose(gathered.measure(measure), expected[measure], atol=2e-6), measure


def test_the_spread_of_members_that_nearly_agree_is_exact_in_float32() -> None:
    foreground = np.array([0.9, 0.9 + 7e-5, 0.9 - 7e-5, 0.9], np.float32)
    p = np.stack([1 - foreground, foreground], axis=1)[..., None]
    exact = p[:, 1].astype(np.float64).std()
    found = float(statistics(p).std()[0])
    assert found == pytest.approx(exact, rel=0.02)
    # In float32, E[x^2] - E[x]^2 is wrong by more than a fifth.
    f = p[:, 1, 0]
    shortcut = math.sqrt(max(0.0, float(np.float32((f * f).mean()) - np.float32(f.mean()) ** 2)))
    assert abs(shortcut - exact) > 0.2 * exact


def test_with_two_classes_std_is_that_of_the_foreground_probability() -> None:
    # 0.2, 0.4, 0.9: mean 0.5, squared deviations 0.09 + 0.01 + 0.16 = 0.26
    found = voxel((0.8, 0.2), (0.6, 0.4), (0.1, 0.9)).std()
    assert found[0] == pytest.approx(math.sqrt(0.26 / 3), abs=1e-7)


def test_two_certain_members_that_contradict_each_other_have_the_largest_disagreement() -> None:
    gathered = voxel((1, 0), (0, 1))
    assert gathered.std()[0] == pytest.approx(0.5)
    assert gathered.predictive_entropy()[0] == pytest.approx(LN2)
    assert gathered.expected_entropy()[0] == 0
    assert gathered.mutual_information()[0] == pytest.approx(LN2)
    assert gathered.variation_ratio()[0] == 0.5


def test_two_undecided_members_have_entropy_but_no_disagreement() -> None:
    gathered = voxel((0.5, 0.5), (0.5, 0.5))
    assert gathered.std()[0] == 0
    assert gathered.predictive_entropy()[0] == pytest.approx(LN2)
    assert gathered.mutual_information()[0] == pytest.approx(0, abs=1e-7)
    assert gathered.variation_ratio()[0] == 0


def test_rounding_never_makes_the_mutual_information_negative() -> None:
    foreground = np.linspace(0.01, 0.99, 1000, dtype=np.float32)
    member = np.stack([1 - foreground, foreground])
    gathered = statistics(np.stack([member, member + np.float32(1e-6), member]))
    difference = gathered.predictive_entropy() - gathered.expected_entropy()
    assert difference.min() < 0  # otherwise the next line would prove nothing
    assert gathered.mutual_information().min() == 0
    assert gathered.mutual_information().max() < 1e-6


def test_three_classes_equal_hand_computed_numbers() -> None:
    gathered = voxel((1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1))
    # The variances are 1/4 (mean 1/2) and twice 3/16 (mean 1/4); half their sum is 5/16.
    assert gathered.std()[0] == pytest.approx(math.sqrt(5 / 16))
    assert gathered.predictive_entropy()[0] == pytest.approx(1.5 * LN2)
    assert gathered.variation_ratio()[0] == 0.5


def test_one_member_has_no_spread() -> None:
    gathered = voxel((0.3, 0.7))
    assert (
        gathered.std()[0] == gathered.mutual_information()[0] == gathered.variation_ratio()[0] == 0
    )


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(2, 4), st.just(3)),
        elements=st.floats(2**-10, 1, width=32),
    )
)
def test_every_measure_stays_in_its_range(raw: NDArray[np.float32]) -> None:
    p = (raw / raw.sum(1, keepdims=True)).astype(np.float32)
    gathered = statistics(p)
    for measure in MEASURES:
        found = gathered.measure(measure)
        assert found.dtype == np.float32
        assert (found >= 0).all()
        assert (found <= upper_bound(measure, p.shape[1], len(p)) + 1e-5).all(), measure


def test_the_order_of_the_members_does_not_matter() -> None:
    p = random_members(0, 4, 3)
    first = statistics(p)
    for order in list(permutations(range(4)))[1::7]:
        other = statistics(p[list(order)])
        for measure in MEASURES:
            assert np.allclose(first.measure(measure), other.measure(measure), atol=1e-6)


def test_a_members_array_is_neither_stored_nor_changed() -> None:
    member = random_members(1, 1, 2)[0]
    copy = member.copy()
    gathered = EnsembleStatistics(member.shape)
    gathered.update(member)
    assert np.array_equal(member, copy)
    member[:] = 0
    assert np.array_equal(gathered.mean, copy)


def test_measures_that_were_not_requested_are_not_available() -> None:
    gathered = EnsembleStatistics((2, 1), {"entropy"})
    gathered.update(np.full((2, 1), 0.5, np.float32))
    assert gathered.measure("entropy")[0] == pytest.approx(LN2)
    for measure in ("std", "mutual_information", "variation_ratio"):
        with pytest.raises(ValueError, match="not among the measures"):
            gathered.measure(measure)  # type: ignore[arg-type]


def test_invalid_probabilities_are_refused_and_not_added() -> None:
    gathered = EnsembleStatistics((2, 3))
    for wrong in (
        np.zeros((2, 4), np.float32),
        np.zeros((2, 3), np.float64),
        np.full((2, 3), np.nan, np.float32),
        np.array([[0.5] * 3, [0.5, 0.5, np.inf]], np.float32),
        np.array([[-4.0] * 3, [4.0] * 3], np.float32),  # logits
    ):
        with pytest.raises(ValueError, match="must be"):
            gathered.update(wrong)  # type: ignore[arg-type]
    assert gathered.count == 0
    with pytest.raises(ValueError, match="No member"):
        _ = gathered.mean


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \['stdd'\]"):
        EnsembleStatistics((2, 1), ["stdd"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="got 'stdd'"):
        voxel((0.5, 0.5)).measure("stdd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="got 'stdd'"):
        upper_bound("stdd", 2, 2)  # type: ignore[arg-type]


def test_votes_of_more_than_255_members_are_refused() -> None:
    member = np.array([[0.9], [0.1]], np.float32)
    gathered = EnsembleStatistics((2, 1))
    for _ in range(255):
        gathered.update(member)
    assert gathered.variation_ratio()[0] == 0
    with pytest.raises(ValueError, match="at most 255 members"):
        gathered.update(member)
    assert gathered.count == 255
    without_votes = EnsembleStatistics((2, 1), {"std"})
    for _ in range(300):
        without_votes.update(member)
    assert without_votes.std()[0] == 0


def test_shapes_without_spatial_axes_or_without_voxels_are_accepted() -> None:
    single = EnsembleStatistics((2,))
    single.update(np.array([1, 0], np.float32))
    single.update(np.array([0, 1], np.float32))
    empty = EnsembleStatistics((2, 0, 4, 4))
    empty.update(np.zeros((2, 0, 4, 4), np.float32))
    for measure in MEASURES:
        assert single.measure(measure) == pytest.approx(upper_bound(measure, 2, 2))
        assert empty.measure(measure).shape == (0, 4, 4)


def test_the_rounding_error_of_half_precision_is_accepted() -> None:
    gathered = voxel((1 + 2**-12, -(2**-12)), (1, 0))
    for measure in MEASURES:
        assert 0 <= gathered.measure(measure)[0] < 3e-3


def test_memory_does_not_grow_with_the_number_of_members() -> None:
    shape = (2, 16, 64, 64)
    member = np.full(shape, 0.5, np.float32)
    gathered = EnsembleStatistics(shape)
    gathered.update(member)
    tracemalloc.start()
    for _ in range(20):
        gathered.update(member)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 0.05 * member.nbytes
    assert peak < 3 * member.nbytes
